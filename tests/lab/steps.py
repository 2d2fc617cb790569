"""One plain line per step: what was done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print one line at once, whole even when threads print together."""
    print(line + "\n", end="", flush=True)


@contextmanager
def step(what: str, announce: bool = False) -> Iterator[None]:
    """Time the block and say so when it ends; `announce` also says so before a long one."""
    if announce:
        say(f"{what} ...")
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")
