"""Where things lie on a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/local/lib/gpuhost/switch.pyz"
INSTANCES = "/var/lib/gpuhost/instances"


@dataclass(frozen=True)
class Places:
    """The files of one instance."""

    instance: str
    root: Path = Path(INSTANCES)

    @property
    def folder(self) -> Path:
        """Everything that is remembered of the instance; its storage lies elsewhere."""
        return self.root / self.instance

    @property
    def journal(self) -> Path:
        """What the switch under way is doing, or what the last one did."""
        return self.folder / "journal.json"

    @property
    def request(self) -> Path:
        """What the switch under way was asked to do."""
        return self.folder / "request.json"

    @property
    def history(self) -> Path:
        """One line for every switch that ended, oldest first."""
        return self.folder / "history.jsonl"

    @property
    def proven(self) -> Path:
        """Releases that passed their gates, newest first."""
        return self.folder / "proven.json"

    @property
    def quarantine(self) -> Path:
        """Releases that failed one."""
        return self.folder / "quarantine.json"

    @property
    def guard(self) -> Path:
        """Held with flock while a switch works."""
        return self.folder / "guard"

    @property
    def releases(self) -> Path:
        """A folder for each release that can be had again."""
        return self.folder / "releases"

    def release(self, name: str) -> Path:
        """One release: its files and settings."""
        return self.releases / name / "release.json"

    def state(self, name: str) -> Path:
        """The WebUI's own settings as they were when the release was left."""
        return self.releases / name / "state"


def instances(root: Path = Path(INSTANCES)) -> list[str]:
    """Every instance that this host remembers."""
    return sorted(path.parent.name for path in root.glob("*/journal.json"))
