"""The cycle as systemd units: what the machine that runs pyinfra does by itself, and when."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpuhost.templates import render

if TYPE_CHECKING:
    from gpuhost.settings import Settings

KEYS = ("cycle_schedule", "cycle_delay", "cycle_notify")
TASK = "gpuhost.tasks.cycle"
PATIENCE = 3600
"""Seconds that the cycle waits for another run's end."""
OWNER = re.compile(r"^# Managed by gpuhost for (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Cycle:
    """When the hosts of one inventory are looked after, and from where."""

    inventory: Path
    root: Path
    """The project: where pyinfra is started."""
    python: str
    schedule: str
    delay: str
    system: bool
    """Units of the machine (True), or of the user."""
    home: str

    @property
    def name(self) -> str:
        """The units' common name."""
        return f"gpuhost-cycle-{re.sub(r'[^A-Za-z0-9_.-]', '-', self.inventory.stem)}"

    @property
    def timer(self) -> str:
        """The timer unit."""
        return f"{self.name}.timer"

    @property
    def service(self) -> str:
        """The service unit."""
        return f"{self.name}.service"

    def units(self) -> dict[str, str]:
        """The text of each unit; none without a schedule."""
        if not self.schedule:
            return {}
        values = {
            "inventory": self.inventory,
            "stem": _specifiers(self.inventory.stem),
            "root": _specifiers(str(self.root)),
            "command": " ".join(word(part) for part in self.command()),
            "schedule": self.schedule,
            "delay": self.delay or "0",
            "system": self.system,
            "home": word(f"HOME={self.home}", variables=False),
        }
        return {
            self.service: render("gpuhost-cycle.service", **values),
            self.timer: render("gpuhost-cycle.timer", **values),
        }

    def command(self) -> list[str]:
        """What the service runs."""
        wait = ["--data", f"wait={PATIENCE}"]
        return [self.python, "-m", "pyinfra", "-y", *wait, str(self.inventory), TASK]


def owner(unit: str) -> str:
    """The inventory that a unit was written for; "" for a unit of somebody else."""
    found = OWNER.search(unit)
    return found[1] if found else ""


def word(text: str, variables: bool = True) -> str:
    """A word of a unit's command line, quoted after systemd.syntax(7)."""
    escaped = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped.replace("$", "$$") if variables else escaped}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def receiver(text: str) -> str:
    """Who gets the verdict: a URL, a command, or nobody. What is wrong is said without the URL.

    :raises ValueError: for anything else
    """
    if "://" in text.split(" ")[0]:
        return _url(text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"should be a URL or a command, got unbalanced quotes ({error})") from None
    if text and (not words or "\n" in text):
        raise ValueError("should be a URL or a command on one line, got blanks or several lines")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or re.search(r"\s", text):
        raise ValueError(
            "should be a URL such as 'https://ntfy.example/topic', or a command, got another"
            f" scheme, no host or blanks ({text.partition('://')[0]!r}://...)"
        )
    return text


def passwords(settings: "Settings") -> Iterator[str]:
    """Passwords that only a person's own environment holds: the timer has none of it."""
    if not settings.cycle_schedule:
        return
    for prefix in ("image_registry", "webui"):
        variable = getattr(settings, f"{prefix}_password_env")
        asked = getattr(settings, f"{prefix}_user") and variable
        if asked and not getattr(settings, f"{prefix}_password_file"):
            yield (
                f"{prefix}_password_env: should be {prefix}_password_file where cycle_schedule is"
                f" set, got {variable!r} (the timer does not know your environment: write the"
                " password to a file of mode 0600)"
            )


def differences(data: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Settings of the cycle that are not the same on all hosts of an inventory, a line each."""
    lines = []
    for key in KEYS:
        holders: dict[str, str] = {}
        for host, own in data.items():
            holders.setdefault(repr(own.get(key)), host)
        if len(holders) > 1:
            lines.append(
                f"{key}: should be the same for all hosts of an inventory, got other values on"
                f" {' and '.join(sorted(holders.values()))} (set it in group_data/all.py)"
            )
    return lines
