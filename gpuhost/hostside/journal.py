"""What a switch is doing, written down before it is done."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PULLING = "pulling"
CHECKING = "checking"
DRAINING = "draining"
SWITCHING = "switching"
GATING = "gating"
RESTORING = "restoring"

COMMITTED = "committed"
SKIPPED = "skipped"
ABANDONED = "abandoned"
ROLLED_BACK = "rolled back"
FAILED = "failed"
STRANDED = "stranded"

PROOF = "proof"
"""The gate before the first one: a container of the image must see the GPUs."""
WORKING = (PULLING, CHECKING, DRAINING, SWITCHING, GATING, RESTORING)
FINAL = {
    COMMITTED: "the new release is proven",
    SKIPPED: "the WebUI was busy; nothing was touched",
    ABANDONED: "what runs was not touched",
    ROLLED_BACK: "the old release runs and is proven again",
    FAILED: "there was no proven release to go back to; the container is kept",
    STRANDED: "the old release did not come back either; containers and images are kept",
}
"""How a switch may end, and what that means."""
EXIT_CODES = {COMMITTED: 0, SKIPPED: 75, ABANDONED: 1, ROLLED_BACK: 1, FAILED: 1, STRANDED: 2}
"""75 is EX_TEMPFAIL of sysexits.h: try later."""


@dataclass
class Journal:
    """One switch, from its request to its end."""

    id: str
    instance: str
    to: str
    """The release it moves to."""
    back: str = ""
    """The proven release it goes back to when that fails; "" for none."""
    digest: str = ""
    back_digest: str = ""
    """The images of both."""
    kind: str = "deploy"
    """The verb that asked for it."""
    why: str = ""
    by: str = ""
    state: str = PULLING
    stopped: bool = False
    """Whether stopping the old release has begun: from here on an error restores it."""
    stopped_at: float = 0
    """Uptime of the host, in seconds, when that was."""
    saved: bool = False
    """Whether the old release's settings were copied: the new one may have changed them since."""
    resumed: int = -1
    """How often it was taken up again after the program or the host went down."""
    began: str = ""
    ended: str = ""
    bytes: int = 0
    total: int = 0
    """Bytes pulled so far and to be pulled, compressed."""
    line: str = ""
    """What it is doing, in words."""
    gate: str = ""
    """The gate that failed."""
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """The end of what the failed container said."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent in each state."""
    figures: dict[str, Any] = field(default_factory=dict)
    downtime: float = 0
    """Seconds from the stop of the old release to the first answer."""

    @property
    def unfinished(self) -> bool:
        """Whether there is work left."""
        return self.state in WORKING

    @property
    def blames_image(self) -> bool:
        """Whether the new image, and not only new settings, failed where the old one works."""
        failed = self.state in (ROLLED_BACK, STRANDED) or self.gate == PROOF
        return failed and self.back_digest not in ("", self.digest)

    def answered(self) -> None:
        """The WebUI answers for the first time since something was stopped."""
        if self.stopped_at and not self.downtime:
            self.downtime = round(max(uptime() - self.stopped_at, 0), 2)

    def spend(self, seconds: float) -> None:
        """Add to the time spent in this state."""
        self.seconds[self.state] = round(self.seconds.get(self.state, 0) + seconds, 2)

    def sentence(self) -> str:
        """How it ended, or where it is, in one line."""
        text = f"instance {self.instance}: release {self.to}: {self.state}"
        if self.reason:
            text += f": gate {self.gate}: {self.reason}" if self.gate else f": {self.reason}"
        if self.state in FINAL:
            text += f" ({FINAL[self.state]})"
        return text

    def to_json(self) -> dict[str, Any]:
        """As it lies on the disk."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Journal | None:
        """None where the document is not a journal."""
        if not isinstance(document, dict) or not {"id", "instance", "to"} <= set(document):
            return None
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in document.items() if key in known})


def now() -> str:
    """The time of day for people; durations are measured with a clock that does not jump."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def uptime() -> float:
    """Seconds since boot: a clock that nobody sets."""
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])
