"""Settings with a schedule, and the cycle of an inventory in a folder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpuhost.cycle import Cycle
from tests.defaults import checked


def timed(**changes) -> Any:
    """Settings with a schedule, as the agreement sees them."""
    return SimpleNamespace(**{**vars(checked()), "cycle_schedule": "daily", **changes})


def made(
    folder: Path, stem="home", timer="daily", system=True, delay="30min", python="/usr/bin/env"
):
    inventory = folder / "inventories" / f"{stem}.py"
    inventory.parent.mkdir(exist_ok=True, parents=True)
    inventory.touch()
    return Cycle(inventory, folder, python, timer, delay, system, "/root")
