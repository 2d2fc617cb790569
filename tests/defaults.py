"""The settings of group_data/all.py, as tests start from them."""

import runpy
from pathlib import Path
from typing import Any

from gpuhost import settings

ROOT = Path(__file__).parent.parent
DATA: dict[str, Any] = {
    key: value
    for key, value in runpy.run_path(str(ROOT / "group_data" / "all.py")).items()
    if not key.startswith("_")
}


def checked(**changes: Any) -> settings.Settings:
    """The defaults with these changes."""
    return settings.read({**DATA, **changes})
