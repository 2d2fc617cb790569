"""How long a WebUI is gone while it moves to another image, as a client sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.bench import downtime_figures, thrift
from tests.bench.downtime_figures import Gap
from tests.bench.ground import Ground, prepared
from tests.bench.hosts import BenchError
from tests.bench.ways import Way, all_ways
from tests.lab import Lab, deploying
from tests.lab.hosts import default
from tests.lab.poller import INTERVAL, Probe, gaps
from tests.lab.steps import say, step

NUMBER = 35
SIZES = (50, 1000)
"""MiB."""
FINER = 2
"""The poller asks this many times as often as usual: 20 times a second.

Much faster, and the WebUI's start crashes, as the real one's does.
"""
CALM = 0.5
"""Seconds to ask before and after a move."""


def measure(lab: Lab, rounds: int, folder: Path, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Move a host's WebUI by every way in turn, for each size; then count bytes."""
    name = default(NUMBER).name
    with step(f"bare host {name}, Debian 13"):
        host = lab.fresh(name, os="debian13")
    site = deploying.inventory(folder)
    document: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "questions_per_second": round(FINER / INTERVAL),
        "coarse_questions_per_second": round(1 / INTERVAL),
        "sizes": [],
    }
    for megabytes in sizes:
        with step(f"a WebUI of {megabytes} MiB more runs, another is in the registry"):
            ground = prepared(lab, host, site, megabytes)
        taken = _rounds(ground, megabytes, rounds)
        document["sizes"].append(downtime_figures.of(megabytes, taken))
    document["last_layer"] = thrift.measure(ground)
    version = host.run("docker version --format '{{.Server.Version}}'", check=True).out
    document["engine"] = version.strip()
    return document


def _rounds(ground: Ground, megabytes: int, rounds: int) -> list[tuple[Way, list[Gap]]]:
    ways = all_ways(ground)
    ways[0].end()
    taken: dict[str, list[Gap]] = {way.name: [] for way in ways}
    for number in range(1, rounds + 1):
        for way in ways if number % 2 else reversed(ways):
            gap = _one(ground, way)
            taken[way.name].append(gap)
            say(f"downtime, {megabytes} MiB, round {number}: {way.name}: {gap.fine:.2f} s")
    ways[0].begin()
    ground.settled()
    return [(way, taken[way.name]) for way in ways]


def _one(ground: Ground, way: Way) -> Gap:
    way.begin()
    ground.settled()
    wanted = ground.target if way.moves else ground.images[ground.current]
    if way.moves:
        ground.forget(wanted)
        ground.publish(wanted)
    load = os.getloadavg()[0]
    with ground.poller(INTERVAL / FINER) as poller:
        time.sleep(CALM)
        way.move()
        ground.settled()
        time.sleep(CALM)
    ground.must_run(way.container, wanted)
    way.end()
    fine = gaps_of(poller.probes, poller.begin, poller.end)
    coarse = gaps_of(poller.probes[::FINER], poller.begin, poller.end)
    return Gap(sum(fine), sum(coarse), sum(fine) - max(fine), load)


def gaps_of(probes: Sequence[Probe], begin: float, end: float) -> list[float]:
    """Seconds of each time without an answer in one move.

    :raises BenchError: when there was none, or no answer before or after
    """
    found = gaps(probes, begin, end)
    if not found or found[0].begin == begin or found[-1].end == end:
        raise BenchError(f"a move should leave a gap between answers, left {found}")
    return [gap.seconds for gap in found]
