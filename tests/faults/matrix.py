"""Many cases on several hosts: each host takes the next one that it can try."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import stand
from tests.faults.cases import CASES, Case
from tests.faults.stand import SMALL
from tests.faults.trial import Result, Trial
from tests.lab import Lab

HOSTS = ("lab-31", "lab-32")


class Queue:
    """Cases that nobody has taken yet."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._cases = list(cases)
        self._turn = threading.Lock()

    def take(self, host: str) -> Case | None:
        """The next case for a host: those that only it can try come first."""
        with self._turn:
            mine = [one for one in self._cases if one.host == host]
            anybody = [one for one in self._cases if not one.host and host != SMALL]
            found = next(iter([*mine, *anybody]), None)
            if found:
                self._cases.remove(found)
            return found


def names(cases: Iterable[Case]) -> list[str]:
    """The hosts that these cases need."""
    return [*HOSTS, SMALL] if any(one.host == SMALL for one in cases) else [*HOSTS]


def prepare(lab: Lab, cases: Iterable[Case], folder: Path) -> list[stand.Stand]:
    """Fresh hosts, served, side by side."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda name: stand.make(lab, name, folder), names(cases)))


def run(
    stands: Iterable[stand.Stand], cases: Iterable[Case], folder: Path,
    told: Callable[[Result], None], first: int = 0,
) -> list[Result]:  # fmt: skip
    """Try all cases; a serial number is a case's place in the table, counted from `first`."""
    queue = Queue(cases)
    found: list[Result] = []

    def work(one: stand.Stand) -> None:
        while case := queue.take(one.host.name):
            serial = first + CASES.index(case)
            result = Trial(one, case, serial, folder / f"case-{serial}").run()
            found.append(result)
            told(result)

    several = list(stands)
    with ThreadPoolExecutor(len(several)) as pool:
        list(pool.map(work, several))
    return sorted(found, key=lambda result: CASES.index(result.case))


def destroy(lab: Lab, hosts: Iterable[str]) -> None:
    """Remove those of these hosts that are there."""
    for host in lab.hosts:
        if host.name in hosts:
            host.destroy()
