"""The cases, as data: every fault in every state, every image that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.holding import HOLDS, LARGE, NOTHING, PLAIN, Hold
from tests.faults.images import Build

STATES = tuple(HOLDS)
FAULTS = ("kill the run", "cut SSH", "restart the engine", "kill the switch", "reboot")
End = Literal["new", "old"]


@dataclass(frozen=True)
class Case:
    """One update in which something goes wrong, and how it must end."""

    name: str
    build: Build
    end: End
    """Which release runs in the end."""
    fault: str = ""
    state: str = ""
    """Where the fault comes."""
    hold: Hold = NOTHING
    orders: Mapping[str, Any] = field(default_factory=dict)
    """For the faulty registry during the first run."""
    tag: str = ""
    """An image that is in the registry already."""
    data: Mapping[str, Any] = field(default_factory=dict)
    blamed: bool = False
    """Whether the image must be in the host's quarantine."""
    said: str = ""
    """Pattern that the first run's output must hold."""
    gate: str = ""
    """Pattern of the gate that the journal must name."""
    untouched: bool = False
    """Whether what ran must never have stopped answering."""
    host: str = ""
    """The only host on which it can be tried."""
    often: bool = False
    """Whether it is among the tests of every change."""

    @property
    def pulls(self) -> bool:
        """Whether the image must not be there when the run begins."""
        return bool(self.orders or self.build.megabytes)


OFTEN = {
    ("kill the run", "pulling"), ("cut SSH", "gating"), ("restart the engine", "switching"),
    ("restart the engine", "gating"), ("kill the switch", "pulling"),
    ("kill the switch", "switching"), ("kill the switch", "restoring"), ("reboot", "switching"),
    ("reboot", "restoring"),
}  # fmt: skip


def matrix() -> Iterator[Case]:
    """Every fault in every state."""
    for state in STATES:
        hold, bad = HOLDS[state], state == "restoring"
        for fault in FAULTS:
            yield Case(
                f"{fault}, {state}", hold.bad if bad else hold.good, "old" if bad else "new",
                fault, state, hold, hold.orders, blamed=bad, often=(fault, state) in OFTEN,
            )  # fmt: skip


def _bad(name: str, faults: Mapping[str, Any], gate: str, **more: Any) -> Case:
    return Case(name, Build(faults=faults), "old", gate=gate, blamed=True, **more)


def _served(name: str, orders: Mapping[str, Any], **more: Any) -> Case:
    """A registry that fails for a while: the same run must succeed."""
    return Case(name, Build(megabytes=3), "new", orders=orders, **more)


def images() -> Iterator[Case]:
    """Images and registries that are not as they should be."""
    yield _bad("exits at start", {"exit_at_start": 1}, "starts|answers", often=True)
    yield _bad("is never healthy", {"never_healthy": True}, "answers",
               data={"gate_start_timeout": 10})  # fmt: skip
    yield _bad("dies in the bake", {"exit_after": 5}, "bake", data={"gate_bake": 12}, often=True)
    yield _bad("does not see the GPU", {"lose_gpu": True}, "proof", untouched=True, often=True)
    yield _bad("makes no picture and rewrites config.json",
               {"rewrite_config": True, "no_model": True}, "picture", often=True)  # fmt: skip
    yield Case("needs a newer CUDA", Build("needs-newer-cuda"), "old", untouched=True,
               said="driver .* needs")  # fmt: skip
    yield Case("is for another architecture", PLAIN, "old", tag="wrong-arch", untouched=True,
               said="linux/")  # fmt: skip
    yield Case("is a list without this architecture", PLAIN, "old", tag="wrong-arch-list",
               untouched=True, said="linux/")  # fmt: skip
    yield _served("manifest 404", {"mode": "manifest-404"}, said="manifest unknown|not found",
                  untouched=True)  # fmt: skip
    yield _served("429 with Retry-After, twice",
                  {"mode": "429", "times": 2, "retry_after": 1, "only": "blobs"})  # fmt: skip
    yield _served("500, twice", {"mode": "500", "times": 2, "only": "blobs"})
    yield _served("truncated blob", {"mode": "truncate", "times": 1, "larger_than": LARGE})
    yield _served("corrupt blob", {"mode": "corrupt", "times": 1, "larger_than": LARGE}, often=True)
    yield _served("cut at half of a layer", {"mode": "cut", "larger_than": LARGE}, often=True)
    yield Case("no room, and it is known", Build(megabytes=200), "old", host="lab-33",
               data={"image_unpack_ratio": 3.0}, untouched=True,
               said=r"MB free, .* needed .* are reclaimable")  # fmt: skip
    yield Case("no room, and it shows in the pull", Build(megabytes=180), "old", host="lab-33",
               data={"image_unpack_ratio": 1.0}, untouched=True,
               said="no space left on device")  # fmt: skip


def people() -> Iterator[Case]:
    """Other runs, clocks, and what a person does meanwhile."""
    gating, draining, restoring = HOLDS["gating"], HOLDS["draining"], HOLDS["restoring"]
    slow = Build(faults={"no_model": True, "slow_start": 4})
    long = Hold(lambda stand: stand.faults(slow_start=10))
    yield Case("a second run, gating", PLAIN, "new", "run again", "gating", long, often=True)
    yield Case("a second run that waits, gating", PLAIN, "new", "run again and wait", "gating",
               long)  # fmt: skip
    for state, hold in (("gating", gating), ("draining", draining)):
        for fault in ("clock a day ahead", "clock a day back"):
            yield Case(f"{fault}, {state}", PLAIN, "new", fault, state, hold, host="lab-32")
    yield Case("old container removed by hand, gating", slow, "old", "remove the old one",
               "gating", NOTHING, gate="picture", blamed=True, often=True)  # fmt: skip
    yield Case("docker container prune, gating", slow, "old", "prune containers", "gating",
               NOTHING, gate="picture", blamed=True, often=True)  # fmt: skip
    yield Case("docker image prune, gating", slow, "old", "prune images", "gating",
               NOTHING, gate="picture", blamed=True)  # fmt: skip
    yield Case("docker container and image prune, restoring", restoring.bad, "old",
               "prune containers and images", "restoring", NOTHING, blamed=True)  # fmt: skip


CASES: tuple[Case, ...] = (*matrix(), *images(), *people())
