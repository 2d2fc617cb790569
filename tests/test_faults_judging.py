"""The fault matrix's judge: what is sound passes, and each thing that may be wrong is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.cases import CASES, STATES, Case
from tests.faults.holding import NOTHING, PLAIN
from tests.faults.injecting import INJECTIONS
from tests.faults.judging import Evidence, Told, complaints
from tests.faults.snapshot import Seen, Snapshot

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
STAND: Any = SimpleNamespace(reference="r/i:t", lock=Path("unused"))
GOOD = Case("good", PLAIN, "new", "kill the switch", "gating", NOTHING)
BAD = Case("bad", PLAIN, "old", gate="picture", blamed=True)
REFUSED = Case("refused", PLAIN, "old", said="no room", untouched=True)


def snapshot(digest: str, state: str, **journal: Any) -> Snapshot:
    entry = {"id": "2", "state": state, "resumed": 1, "to": "b", **journal}
    return Snapshot(
        journal=entry, quarantine=[], proven=[{"image": f"r/i@{digest}"}], last=entry,
        unit="inactive", run=(), networks=("p",),
        containers=(Seen("gpuhost-webui", "running", "healthy", digest, "p"),),
    )  # fmt: skip


def lock(digest: str) -> str:
    return f'images:\n  "r/i:t linux/amd64":\n    digest: "{digest}"\n'


def evidence(case: Case) -> Evidence:
    """Everything as it should be."""
    digest = NEW if case.end == "new" else OLD
    state = "committed" if case.end == "new" else "rolled back"
    seen = snapshot(digest, state, gate=case.gate, reason="why" if case.blamed else "")
    if case.blamed:
        seen = replace(seen, quarantine=[{"image": f"r/i@{NEW}"}])
    said = {"new": "", "old": "it is in quarantine" if case.blamed else "no room"}[case.end]
    return Evidence(
        case=case, old=OLD, new=NEW, before={"a": "1"}, after={"a": "1"},
        first=Told(0, said), quiet=seen, second=Told(0 if case.end == "new" else 1, said),
        end=seen, lock=lock(digest), gap=0.5, last_id="1",
    )  # fmt: skip


def at_end(**changes: Any) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, end=replace(found.end, **changes))


def at_rest(**changes: Any) -> Callable[[Evidence], Evidence]:
    def change(found: Evidence) -> Evidence:
        journal = {**found.quiet.journal, **changes}
        return replace(found, quiet=replace(found.quiet, journal=journal))

    return change


@pytest.mark.parametrize("case", [GOOD, BAD, REFUSED], ids=lambda case: case.name)
def test_what_is_sound_passes(case: Case) -> None:
    assert complaints(STAND, evidence(case)) == []


LIVE = Seen("gpuhost-webui", "running", "healthy", NEW, "p")
SPOILED: list[tuple[Case, Callable[[Evidence], Evidence], str]] = [
    (GOOD, at_end(containers=()), "running containers are []"),
    (GOOD, at_end(containers=(replace(LIVE, health="unhealthy"),)), "gpuhost-webui is unhealthy"),
    (GOOD, at_end(containers=(replace(LIVE, digest=OLD),)), "should run sha256:2222"),
    (GOOD, at_end(containers=(LIVE, replace(LIVE, name="gpuhost-webui-previous"))), "alone"),
    (GOOD, at_end(containers=(LIVE, replace(LIVE, name="gpuhost-webui-proof", status="exited"))),
     "containers are left over"),
    (GOOD, at_end(networks=("p", "q")), "networks without containers"),
    (GOOD, at_end(run=("run.lock",)), "the run's lock was left"),
    (GOOD, at_end(unit="active"), "still works"),
    (GOOD, at_end(proven=[]), "not proven"),
    (GOOD, lambda found: replace(found, end=snapshot(NEW, "failed")), "ended as 'failed'"),
    (GOOD, at_rest(state="gating"), "did not end by itself"),
    (GOOD, at_rest(state="rolled back"), "a good image ended as"),
    (GOOD, at_rest(resumed=0), "knows of no interruption"),
    (GOOD, at_rest(id="3"), "the history does not end with this switch"),
    (GOOD, lambda found: replace(found, after={"a": "2"}), "the user's files changed: ['a']"),
    (GOOD, lambda found: replace(found, second=Told(1, "")), "the next run ended with 1"),
    (GOOD, lambda found: replace(found, second=Told(0, "x\nTraceback (m")), "in a traceback"),
    (GOOD, lambda found: replace(found, lock=lock(OLD)), "the lock holds"),
    (BAD, at_end(quarantine=[]), "not in the host's quarantine"),
    (BAD, at_rest(reason=""), "the journal ends as"),
    (BAD, at_rest(gate="bake"), "blames gate 'bake'"),
    (BAD, at_rest(state="stranded"), "the journal ends as 'stranded'"),
    (BAD, lambda found: replace(found, second=Told(0, "in quarantine")), "should refuse"),
    (BAD, lambda found: replace(found, second=Told(1, "oh")), "should refuse"),
    (REFUSED, lambda found: replace(found, gap=1.5), "nothing had to be stopped"),
    (REFUSED, lambda found: replace(found, first=Told(1, "")), "does not say 'no room'"),
    (REFUSED, lambda found: replace(found, second=Told(0, "no room")), "should refuse and say"),
    (REFUSED, lambda found: replace(found, lock=lock(NEW)), "the lock holds"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "spoil", "words"), SPOILED, ids=[row[2] for row in SPOILED])
def test_whatever_is_wrong_is_seen(
    case: Case, spoil: Callable[[Evidence], Evidence], words: str
) -> None:
    found = complaints(STAND, spoil(evidence(case)))
    assert any(words in one for one in found), found


def test_the_cases_are_told_apart_and_can_all_be_tried() -> None:
    names = [one.name for one in CASES]
    assert len(names) == len(set(names))
    assert {one.fault for one in CASES} - {""} == set(INJECTIONS)
    assert {one.state for one in CASES} - {""} == set(STATES)
