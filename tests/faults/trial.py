"""One case on one host, from a proven release to the verdict."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuhost.hostside.journal import FINAL
from tests.faults.cases import Case
from tests.faults.injecting import Scene, clock_of_its_own, inject
from tests.faults.judging import Evidence, Told, complaints
from tests.faults.running import Background
from tests.faults.snapshot import Snapshot, look
from tests.faults.stand import REGISTRY, Stand, Unready, push
from tests.faults.watching import Missed, reach
from tests.lab import HostError
from tests.lab.oci import Image
from tests.lab.poller import Poller

QUIET = 120.0
"""Seconds in which everything must have come to rest."""
HEALTHY = 20.0
MARGIN = 0.5
END_OF_OUTPUT = 2500
"""Letters that a failed case shows."""


@dataclass
class Result:
    """What became of a case."""

    case: Case
    host: str
    complaints: list[str] = field(default_factory=list)
    ended: str = ""
    """How the first switch ended, by itself."""
    resumed: int = 0
    gap: float = 0
    """Seconds of the longest time without an answer."""
    pause: float = 0
    """Seconds of the longest time in which the poller asked nothing."""
    seconds: float = 0
    journal: dict[str, Any] = field(default_factory=dict)
    said: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.complaints


class Trial:
    """A case that is being tried."""

    def __init__(self, stand: Stand, case: Case, serial: int, folder: Path) -> None:
        self.stand, self.case, self.serial = stand, case, serial
        self.folder = folder
        self.result = Result(case, stand.host.name)
        self.runs: list[Background] = []
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> Result:
        """Try it; whatever goes wrong is a complaint."""
        began = time.monotonic()
        try:
            self._run()
        except (Missed, Unready, HostError) as error:
            self.result.complaints.append(f"{type(error).__name__}: {error}")
        except Exception:  # one case that breaks must not end all others
            self.result.complaints.append(traceback.format_exc())
        finally:
            self._take_back()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _run(self) -> None:
        stand, case = self.stand, self.case
        before = standing(stand)
        image = case.build.image(self.serial)
        tag = self._offered(image)
        files = stand.fingerprint()
        lock = before.journal["id"]
        with Poller(stand.url) as poller, clock_of_its_own(stand, case.fault):
            scene = self._first_run(tag, lock)
            first = Told(scene.run.rc, scene.run.said)
            quiet = healthy(stand)
            gap = poller.longest_gap()
            second = self._begin(tag, self.folder / "next.log")
            second.end()
            end = healthy(stand)
            time.sleep(MARGIN)
        live = before.live
        found = Evidence(
            case=case, old=live.digest if live else "", new=image.digest, before=files,
            after=stand.fingerprint(), first=first, quiet=quiet,
            second=Told(second.rc, second.said), end=end, lock=stand.lock.read_text(),
            gap=gap, last_id=lock,
            known=frozenset(before.networks) - {live.project if live else ""},
        )  # fmt: skip
        self._tell(found, poller)
        self.result.complaints += [*scene.complaints, *complaints(stand, found)]

    def _offered(self, image: Image) -> str:
        """The image's tag at the registry; on the host already, unless its pull is the matter."""
        if self.case.tag:
            return self.case.tag
        tag = f"fault-{self.serial}"
        reference = push(self.stand.lab, image, tag)
        if not self.case.pulls and not self.case.build.like.startswith("needs"):
            self.stand.fetch(reference)
        return tag

    def _first_run(self, tag: str, last: str) -> Scene:
        """The update, its fault, and the wait until everything is quiet."""
        with self._registry():
            self.case.hold.prepare(self.stand)
            run = self._begin(tag, self.folder / "first.log")
            scene = Scene(
                self.stand, self.case.state, run,
                lambda log, wait: self._begin(tag, log, wait=wait), self.folder,
            )  # fmt: skip
            if self.case.fault:
                reach(self.stand.host, last, self.case.state)
                inject(scene, self.case.fault)
                self._well()
            self._quiet(scene)
        for other in scene.others:
            scene.check(other.rc in (0, 1), f"the other run ended with {other.rc}")
            if "waits" in self.case.name:
                scene.check(other.rc == 0, f"the run that waited failed: {other.said[-800:]}")
                scene.check("waiting for it, 120 s at most" in other.said, "it did not wait")
        return scene

    @contextmanager
    def _registry(self) -> Iterator[None]:
        """Let the registry misbehave as the case wants it, and nobody else use it meanwhile."""
        if not self.case.pulls:
            yield
            return
        with REGISTRY:
            self.stand.lab.faulty.reset()
            if self.case.orders:
                self.stand.lab.faulty.set(**self.case.orders)
            try:
                yield
            finally:
                self.stand.lab.faulty.reset()

    def _well(self) -> None:
        """What held the state is over."""
        self.stand.well()
        if self.case.orders:
            self.stand.lab.faulty.set("ok")

    def _begin(self, tag: str, log: Path, wait: int = 0) -> Background:
        run = Background(self.stand, log, to=tag, **{**self.case.data, "wait": wait})
        self.runs.append(run)
        return run

    def _quiet(self, scene: Scene) -> None:
        """Until runs and switch have ended."""
        deadline = time.monotonic() + QUIET
        while time.monotonic() < deadline:
            runs = [scene.run, *scene.others]
            if all(run.over for run in runs):
                seen = look(self.stand.host)
                if seen.state in FINAL and not seen.works:
                    return
            time.sleep(0.5)
        scene.check(False, f"not quiet after {QUIET:.0f} s")

    def _tell(self, found: Evidence, poller: Poller) -> None:
        result, journal = self.result, found.quiet.journal
        result.gap, result.pause = poller.longest_gap(), poller.longest_pause()
        result.journal = journal
        if journal.get("id") == found.last_id:
            result.ended = "refused"
        else:
            result.ended, result.resumed = found.quiet.state, int(journal.get("resumed", 0))

    def _take_back(self) -> None:
        for run in self.runs:
            if not run.over:
                run.kill()
        try:
            self.stand.well()
            if not self.result.passed:
                self.result.journal = self.result.journal or look(self.stand.host).journal
        except Exception:  # the next case says whether the host stands
            self.result.complaints.append(f"not taken back: {traceback.format_exc()}")
        if not self.result.passed:
            ends = [f"--- {run.log.name}, rc {run.rc}\n{run.said[-END_OF_OUTPUT:]}"
                    for run in self.runs]  # fmt: skip
            self.result.said = "\n".join(ends)


def standing(stand: Stand) -> Snapshot:
    """
    A host as every case wants it: one healthy container of a proven release that the lock holds.

    :raises Unready: when it does not, even after an update to a release that is known to be good
    """
    stand.well()
    seen = healthy(stand)
    if _stands(stand, seen):
        return seen
    stand.verb("unquarantine")
    done = stand.verb("update", to="v1")
    seen = healthy(stand)
    if done.rc == 0 and _stands(stand, seen):
        return seen
    raise Unready(f"{stand.host.name} does not stand: {done.said[-1500:]}")


def _stands(stand: Stand, seen: Snapshot) -> bool:
    live = seen.live
    return bool(
        live and live.health == "healthy" and [one.name for one in seen.running] == [live.name]
        and seen.state in FINAL and not seen.works
        and live.digest in {one["image"].rpartition("@")[2] for one in seen.proven}
        and live.digest in stand.lock.read_text().partition("quarantine:")[0]
    )  # fmt: skip


def healthy(stand: Stand) -> Snapshot:
    """A look at the host once its container is healthy, or has had the time to become so."""
    deadline = time.monotonic() + HEALTHY
    while True:
        seen = look(stand.host)
        live = seen.live
        if (live and live.health == "healthy") or time.monotonic() > deadline:
            return seen
        time.sleep(1)
