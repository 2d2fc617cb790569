"""What must change on a host and why. Pure: state, settings and lock in, a plan out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gpuhost.actions import Action


class Stage(Enum):
    """The stages of a host's life, in order."""

    PREFLIGHT = "preflight"
    DRIVER = "driver"
    ENGINE = "engine"
    TOOLKIT = "toolkit"
    DAEMON = "daemon.json"
    REGISTRY = "registry"
    SWITCH = "switch program"
    PROOF = "gpu proof"
    IMAGE = "image"
    INSTANCE = "instance"


@dataclass(frozen=True)
class Step:
    """One line of a plan, and what it does."""

    stage: Stage
    subject: str
    now: str
    wanted: str
    why: str
    actions: tuple[Action, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Refusal:
    """Why a host cannot be served, and what to do about it."""

    stage: Stage
    subject: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.found}: {self.remedy}"


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are done. With a refusal nothing is done at all."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def of(self, stage: Stage) -> tuple[Step, ...]:
        """The steps of one stage."""
        return tuple(step for step in self.steps if step.stage is stage)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do and nothing to say."""
        return not self.steps and not self.refusals


Line = Step | Refusal
Lines = Iterator[Line]


def collect(lines: Lines) -> Plan:
    """Sort lines into a plan."""
    found = list(lines)
    return Plan(
        steps=tuple(line for line in found if isinstance(line, Step)),
        refusals=tuple(line for line in found if isinstance(line, Refusal)),
    )
