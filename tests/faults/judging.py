"""Was it as it must be? Every line here is a way in which a case fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from gpuhost.hostside.journal import ABANDONED, COMMITTED, FINAL, ROLLED_BACK, SKIPPED
from tests.faults.cases import Case
from tests.faults.injecting import INTERRUPTS
from tests.faults.snapshot import LIVE, Snapshot
from tests.faults.stand import Stand

PROBE_LIMIT = 1.0
"""Seconds that a probe may take, and a gap where nothing was ever stopped."""


@dataclass(frozen=True)
class Told:
    """What one run left: its exit code and what it said."""

    rc: int | None
    said: str


@dataclass(frozen=True)
class Evidence:
    """Everything that a case left."""

    case: Case
    old: str
    new: str
    """Digests."""
    before: Mapping[str, str]
    after: Mapping[str, str]
    """The user's files."""
    first: Told
    quiet: Snapshot
    """After the first run and its fault, before anybody helped."""
    second: Told
    end: Snapshot
    lock: str
    gap: float
    """Seconds of the longest time without an answer before the next run."""
    last_id: str
    """The journal before the case."""
    known: frozenset[str] = frozenset()
    """Compose projects of earlier failures: whoever prunes containers leaves their networks."""

    @property
    def wanted(self) -> str:
        """The digest that must run in the end."""
        return self.new if self.case.end == "new" else self.old

    @property
    def refused(self) -> bool:
        """Whether the update must not even have begun on the host."""
        return self.case.end == "old" and not self.case.blamed


def complaints(stand: Stand, found: Evidence) -> list[str]:
    """Everything that is wrong; nothing when the case passed."""
    return [
        *(f"after the fault: {one}" for one in _serves(found.quiet, _interim(found))),
        *_explained(found),
        *(f"in the end: {one}" for one in _serves(found.end, found.wanted)),
        *_left_over(found),
        *_files(found),
        *_next_run(found),
        *_lock(stand, found),
        *_answered(found),
    ]


def _interim(found: Evidence) -> str:
    """What must run before the next run: the new one once it is proven, or else the old one."""
    mine = found.quiet.journal.get("id") != found.last_id
    return found.new if mine and found.quiet.state == COMMITTED else found.old


def _serves(seen: Snapshot, digest: str) -> Iterator[str]:
    names = [one.name for one in seen.running]
    if names != [LIVE]:
        yield f"running containers are {names}, should be {LIVE} alone"
    live = seen.live
    if live and live.health != "healthy":
        yield f"{LIVE} is {live.health or 'without health'}"
    if live and live.digest != digest:
        yield f"{LIVE} runs {live.digest[:19]}, should run {digest[:19]}"


def _explained(found: Evidence) -> Iterator[str]:
    journal, case = found.quiet.journal, found.case
    if found.quiet.state not in FINAL:
        yield f"the switch did not end by itself, it stands at {found.quiet.state}"
    if case.fault in INTERRUPTS and not journal.get("resumed", 0):
        yield "the journal knows of no interruption"
    if found.quiet.last.get("id") != journal.get("id"):
        yield "the history does not end with this switch"
    if case.said and not re.search(case.said, found.first.said):
        yield f"the first run does not say {case.said!r}"
    if case.blamed:
        ends = (ABANDONED,) if case.gate == "proof" else (ROLLED_BACK,)
        if found.quiet.state not in ends or not journal.get("reason"):
            yield f"the journal ends as {found.quiet.state!r}: {journal.get('reason')!r}"
        if case.gate and not re.fullmatch(case.gate, str(journal.get("gate"))):
            yield f"the journal blames gate {journal.get('gate')!r}, should be {case.gate!r}"
        if found.new not in {one["image"].rpartition("@")[2] for one in found.end.quarantine}:
            yield "the image is not in the host's quarantine"
    if case.end == "new":
        if found.end.state != COMMITTED or found.end.journal.get("to") == "":
            yield f"the last switch ended as {found.end.state!r}"
        if found.new not in {one["image"].rpartition("@")[2] for one in found.end.proven}:
            yield "the new release is not proven"
        if found.quiet.state not in (COMMITTED, ABANDONED, SKIPPED):
            yield f"a good image ended as {found.quiet.state!r}: {journal.get('reason')}"


def _left_over(found: Evidence) -> Iterator[str]:
    seen = found.end
    allowed = {LIVE, f"{LIVE}-failed"}
    if others := [one.name for one in seen.containers if one.name not in allowed]:
        yield f"containers are left over: {others}"
    projects = {one.project for one in seen.containers} | found.known
    if networks := [one for one in seen.networks if one not in projects]:
        yield f"networks without containers are left over: {networks}"
    # A dead run's lock stays until the next run that changes something takes it over.
    if "run.lock" in seen.run and found.case.fault != "kill the run":
        yield "the run's lock was left on the host"
    if seen.works:
        yield "the switch's unit still works"


def _files(found: Evidence) -> Iterator[str]:
    if found.before != found.after:
        changed = sorted(
            name
            for name in {*found.before, *found.after}
            if found.before.get(name) != found.after.get(name)
        )
        yield f"the user's files changed: {changed}"


def _next_run(found: Evidence) -> Iterator[str]:
    rc, said = found.second.rc, found.second.said
    if found.case.end == "new" and rc != 0:
        yield f"the next run ended with {rc}"
    if found.case.blamed and not (rc == 1 and "in quarantine" in said):
        yield f"the next run ended with {rc}, should refuse what is in quarantine"
    if found.refused and not (rc == 1 and re.search(found.case.said, said)):
        yield f"the next run ended with {rc}, should refuse and say {found.case.said!r}"
    if re.search("^Traceback", f"{found.first.said}\n{said}", re.MULTILINE):
        yield "a run ended in a traceback"


def _lock(stand: Stand, found: Evidence) -> Iterator[str]:
    document = yaml.safe_load(found.lock) or {}
    images = document.get("images") or {}
    name = next((one for one in images if one.startswith(stand.reference)), "")
    if images.get(name, {}).get("digest") != found.wanted:
        yield f"the lock holds {images.get(name, {}).get('digest')}, should hold {found.wanted}"


def _answered(found: Evidence) -> Iterator[str]:
    if found.case.untouched and found.gap > PROBE_LIMIT:
        yield f"nothing answered for {found.gap:.1f} s, though nothing had to be stopped"
