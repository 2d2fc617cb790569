"""A switch is killed before and after every single thing that it does, and always ends well.

Each scenario runs once, and the host is remembered before each change. From every one of these
moments on the unit starts the program again, as systemd would after a kill or a reboot, and in the
end the host must be as if nothing had happened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gpuhost.hostside.switch import Switch
from tests.hostside.world import LIVE, Moment, World, contents


@dataclass(frozen=True)
class Scenario:
    """A host whose instance runs release a, and an order for another one."""

    flaw: str = ""
    """The gate at which the new release fails."""
    ends: str = "b"
    """The release that must run at the end."""
    proven: str = "ba"
    state: str = "committed"
    aside: frozenset[str] = frozenset()
    """Containers that may be left beside the live one."""
    order: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    to: str = "b"
    settle: str = "a"
    busy: int = 0


BAD: dict[str, Any] = {
    "ends": "a", "proven": "a", "state": "rolled back", "aside": frozenset({f"{LIVE}-failed"})
}  # fmt: skip
SLOW: dict[str, Any] = {"changes": {"gates": {"answers": 60, "benchmark": 600}, "slowdown": 0.25}}
SCENARIOS = {
    "a good update": Scenario(),
    "the first release": Scenario(settle="", proven="b"),
    "a repair": Scenario(to="a", ends="a", proven="a", order={"recreate": True}),
    "a rollback": Scenario(settle="ab", to="a", ends="a", proven="ab"),
    "a busy webui": Scenario(ends="a", proven="a", state="skipped", busy=10**6),
    "a pull that fails": Scenario(flaw="pull", ends="a", proven="a", state="abandoned"),
    "an image that sees no gpu": Scenario(flaw="proof", ends="a", proven="a", state="abandoned"),
    "a slow release": Scenario("slow", **BAD, **SLOW),
    **{
        f"a release that fails: {flaw}": Scenario(flaw, **BAD)
        for flaw in ("starts", "stays", "answers", "picture", "published", "healthy",
                     "bake: unhealthy", "bake: restarts", "bake: exits", "bake: silent")
    },
}  # fmt: skip
AFTERWARDS: dict[str, Callable[[World], None]] = {
    "killed": lambda world: None,
    "rebooted": lambda world: world.engine.reboot(),
}


def begun(world: World, scenario: Scenario) -> World:
    """Let a host take the order."""
    for letter in scenario.settle:
        world.go(world.release(letter, **scenario.changes))
    flaw = "" if scenario.flaw == "pull" else scenario.flaw
    known = scenario.to in scenario.settle
    new = (
        world.stored[scenario.to * 12]
        if known
        else world.release(scenario.to, flaw, **scenario.changes)
    )
    world.pull_error = "manifest unknown" if scenario.flaw == "pull" else ""
    world.busy, world.strict = scenario.busy, not known
    world.order(new, known, **scenario.order)
    world.engine.killed.clear()
    return world


def seen_through(world: World) -> World:
    """The unit starts the program, until it has ended."""
    world.switch()
    assert not world.journal.unfinished
    return world


@dataclass(frozen=True)
class Outcome:
    """What of a host must not depend on where its switch was killed."""

    state: str
    gate: str
    """While it bakes, what fails may as well be noticed by an earlier gate."""
    quarantined: set[str]
    storage: dict[str, bytes]


def outcome(world: World) -> Outcome:
    """What became of a host."""
    entry = world.journal
    gate = "bake" if entry.gate in ("starts", "published", "healthy", "bake") else entry.gate
    return Outcome(entry.state, gate, set(world.quarantined), contents(world.storage))


def check(scenario: Scenario, world: World) -> None:
    """The host is as the scenario says."""
    assert world.journal.state == scenario.state
    assert world.live.release[0] == scenario.ends
    assert (world.live.policy, world.live.health) == ("unless-stopped", "healthy")
    assert set(world.names) - {LIVE} <= scenario.aside
    assert world.proven == scenario.proven
    assert [one["id"] for one in world.records.history()].count(world.journal.id) == 1
    assert world.engine.killed == []
    for letter in scenario.settle:
        assert world.engine.image(world.stored[letter * 12].keep_tag)
    compose = json.loads((world.folder / "etc" / "compose.yaml").read_text())
    assert compose["services"]["webui"]["labels"]["org.gpuhost.release"][0] == scenario.ends
    world.engine.reboot()
    assert world.live.release[0] == scenario.ends


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed(world, name):
    check(SCENARIOS[name], seen_through(begun(world, SCENARIOS[name])))


def unlike(moments: list[Moment], scenario: Scenario) -> list[Moment]:
    """Moments that differ in something that is read again, and not only among scenarios."""
    found: dict[str, Moment] = {}
    for one in moments:
        journal = json.loads(one.files["instances/webui/journal.json"])
        if journal["stopped"] or not scenario.flaw or scenario.flaw in FIRST:
            found.setdefault(_essence(one, journal), one)
    return list(found.values())


FIRST = ("pull", "proof", "picture")
"""Until it starts, a release that will fail does as any other."""


def _essence(moment: Moment, journal: dict[str, Any]) -> str:
    said = ("line", "bytes", "total", "seconds", "downtime")
    kept = {key: value for key, value in journal.items() if key not in said}
    files = {**moment.files, "instances/webui/journal.json": repr(kept)}
    return re.sub(r"proven_for=[-.\d]+", "", repr((files, moment.engine)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_anywhere(world, name, monkeypatch):
    scenario = SCENARIOS[name]
    moments = begun(world, scenario).moments = []
    calm = outcome(seen_through(world))
    monkeypatch.setattr(Switch, "_say", lambda *_: None)
    moments = unlike(moments, scenario)
    assert len(moments) > 3
    wrong = []
    for number, moment in enumerate(moments):
        for word, afterwards in AFTERWARDS.items():
            if word == "killed" and scenario.flaw not in ("", *FIRST):
                continue
            world.go_back(moment)
            afterwards(world)
            try:
                assert outcome(seen_through(world)) == calm
                check(scenario, world)
            except AssertionError as error:
                wrong.append(f"{word} before {number}, {moment.before}: {str(error)[:300]}")
    assert not wrong, "\n".join([*wrong[:9], f"{len(wrong)} of {len(moments)} moments"])


@pytest.mark.parametrize("name", ["a good update", "a release that fails: picture", "a repair"])
def test_killed_twice(world, name, monkeypatch):
    scenario = SCENARIOS[name]
    moments = begun(world, scenario).moments = []
    calm = outcome(seen_through(world))
    monkeypatch.setattr(Switch, "_say", lambda *_: None)
    for first in unlike(moments, scenario)[::7]:
        world.go_back(first)
        again = world.moments = []
        seen_through(world)
        for second in unlike(again, scenario)[::2]:
            world.go_back(second)
            world.engine.reboot()
            assert outcome(seen_through(world)) == calm, f"{first.before}, then {second.before}"
            check(scenario, world)
