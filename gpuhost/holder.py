"""Who holds a host: the one line of its run lock, and whether the run that wrote it still lives.

Age is told by the host's own uptime, which both runs read there: no wall clock takes part.
"""

import getpass
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from gpuhost import processes

STALE = 90
"""Seconds without a sign of life after which a run is dead."""
FROM_HOST = ("boot_id", "beat")
"""What the host itself adds to the line, last."""


class Unreadable(ValueError):
    """A run lock that no run of gpuhost wrote."""


@dataclass(frozen=True)
class Clock:
    """What a host says of its own time."""

    uptime: int
    boot_id: str


@dataclass(frozen=True)
class Holder:
    """One run that holds a host."""

    who: str
    where: str
    pid: int
    token: str
    since: str
    what: str
    space: str
    """Where `pid` and `started` mean something, after `processes.space`."""
    started: int
    boot_id: str = ""
    beat: int = 0
    """The host's uptime at the last sign of life."""

    def opening(self) -> str:
        """The line up to where the host goes on."""
        own = {key: value for key, value in asdict(self).items() if key not in FROM_HOST}
        return json.dumps(own)[:-1]

    @property
    def mark(self) -> str:
        """What only a line of this run holds."""
        return f'"token": "{self.token}"'

    @property
    def run(self) -> str:
        """The run for people."""
        return f"the run of {self.who}@{self.where} ({self.what}, since {_minute(self.since)})"

    def age(self, clock: Clock) -> int:
        """Seconds since the last sign of life."""
        return max(clock.uptime - self.beat, 0)

    def death(self, clock: Clock) -> str:
        """Why this run is dead; "" for one that lives, or may live."""
        if self.boot_id != clock.boot_id:
            return "the host was rebooted since"
        if (
            self.space
            and self.space == processes.space()
            and not processes.lives(self.pid, self.started)
        ):
            return f"its process {self.pid} on this machine has ended"
        return (
            "" if self.age(clock) <= STALE else f"no sign of life for {duration(self.age(clock))}"
        )


@dataclass(frozen=True)
class Refused:
    """A host that another run holds."""

    host: str
    holder: Holder
    clock: Clock

    def __str__(self) -> str:
        age = duration(self.holder.age(self.clock))
        return (
            f"{self.host} is held by {self.holder.run}, which gave its last sign of life {age} ago"
        )


def me(what: str) -> Holder:
    """This run."""
    return Holder(
        who=os.environ.get("SUDO_USER") or _user(),
        where=socket.gethostname(),
        pid=os.getpid(),
        token=secrets.token_hex(16),
        since=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        what=what,
        space=processes.space(),
        started=processes.started(os.getpid()),
    )


def read(line: str) -> Holder:
    """:raises Unreadable: for a line of something else"""
    try:
        found = json.loads(line)
        holder = Holder(**{name: found[name] for name in Holder.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"should be one JSON line of a run, got {line[:80]!r}") from error
    if not all(isinstance(getattr(holder, name), int) for name in ("pid", "started", "beat")):
        raise Unreadable(f"should hold numbers for pid, started and beat, got {line[:80]!r}")
    return holder


def duration(seconds: int) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ") + " UTC"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
