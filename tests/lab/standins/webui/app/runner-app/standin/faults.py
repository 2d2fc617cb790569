"""Faults to order: from the environment, and over them from a file that may change at run time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(os.environ.get("WEBUI_FAULTS_FILE", "/home/runner/.faults.json"))


def now() -> dict[str, Any]:
    """The faults in force, by name.

    exit_at_start: exit code; never_healthy, no_model, hang, lose_gpu, rewrite_config: bool;
    busy, slow_stop, slow_start, load_seconds, step_seconds: seconds; register_seconds: time
    between the pages' first answer and the API's; exit_after: time between the API's and death.
    """
    return {**_read(os.environ.get("WEBUI_FAULTS", "")), **_read(_text())}


def _text() -> str:
    try:
        return FILE.read_text()
    except OSError:
        return ""


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
