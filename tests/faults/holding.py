"""Ways in which a state lasts long enough to be hit, all of them things that happen to hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.images import Build
from tests.faults.stand import Stand

LARGE = 1_500_000
"""Bytes: layers of images that are held are larger, all others smaller or on the host."""

PLAIN = Build()
NO_MODEL = Build(faults={"no_model": True})


@dataclass(frozen=True)
class Hold:
    """How one state is held: what is set before the run, what the image is like."""

    prepare: Callable[[Stand], None] = lambda stand: None
    good: Build = PLAIN
    bad: Build = NO_MODEL
    orders: Mapping[str, Any] = field(default_factory=dict)
    """For the faulty registry; with some the host has to pull during the run."""


NOTHING = Hold()
HOLDS: Mapping[str, Hold] = {
    "pulling": Hold(
        good=Build(megabytes=3),
        orders={"mode": "slow", "rate": 500_000, "larger_than": LARGE},
    ),
    "checking": Hold(lambda stand: stand.host.set_mode("slow", 1.2)),
    "draining": Hold(lambda stand: stand.faults(busy=14)),
    "switching": Hold(lambda stand: _linger(stand)),
    "gating": Hold(lambda stand: stand.faults(slow_start=4)),
    "restoring": Hold(bad=Build(faults={"no_model": True, "slow_stop": 4})),
}


def _linger(stand: Stand) -> None:
    stand.host.hold_gpu_memory("gpuhost-webui", linger=5)
