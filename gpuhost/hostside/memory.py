"""The GPU's memory: a process that was stopped gives it back a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable

from gpuhost.hostside import checking

LIMIT = 60.0
"""Seconds that it may take."""


def wait(held: set[int], say: Callable[[str], None]) -> set[int]:
    """Wait until these processes hold none any more; those that still do."""
    deadline = time.monotonic() + LIMIT
    while held and (left := held & checking.compute_processes()):
        if time.monotonic() > deadline:
            return left
        say("waiting until the GPU's memory is free")
        time.sleep(0.5)
    return set()
