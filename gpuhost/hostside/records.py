"""What an instance remembers: releases that passed, releases that failed, switches that ended."""

from __future__ import annotations

import base64
import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gpuhost.hostside import files
from gpuhost.hostside.places import Places

REMEMBERED = 50
"""Proven releases, quarantined ones."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a release, with its content."""

    path: str
    content: str
    """In base64."""
    mode: int
    uid: int = 0
    gid: int = 0

    def put(self) -> None:
        """Put it in place."""
        files.write(
            Path(self.path), base64.b64decode(self.content), self.mode, (self.uid, self.gid)
        )


@dataclass(frozen=True)
class StoredRelease:
    """Everything that a release needs to run again, without network and without pyinfra."""

    id: str
    instance: str
    container: str
    image: str
    """repository@sha256:..."""
    reference: str
    """What the settings called it."""
    compose: str
    """Path of its compose file, one of `files`."""
    files: tuple[StoredFile, ...] = field(repr=False)
    gpu_flags: tuple[str, ...]
    """How a container gets its GPUs: words of `docker run`."""
    gates: dict[str, int]
    """Deadline in seconds by gate, in order."""
    published: tuple[str, int]
    """Address and port on the host."""
    storage: str
    stop_timeout: int
    bake: int
    """Seconds to stay healthy."""
    slowdown: float
    """How much slower than the proven release a picture may be made, as a part of one; 0: any."""
    size: int = 0
    """Compressed bytes of the image."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of the image, those that matter."""

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]

    @property
    def repository(self) -> str:
        """The image's repository, as the reference spells it."""
        return self.image.rpartition("@")[0]

    @property
    def project(self) -> str:
        """The compose project: one a release, so that two can exist side by side."""
        return f"{self.container}-{self.id}"

    @property
    def keep_tag(self) -> str:
        """A local tag: an image that is known by digest alone is dangling, and gets pruned."""
        return f"{self.repository}:gpuhost-{self.digest.rpartition(':')[2][:12]}"

    def to_json(self) -> dict[str, Any]:
        """As it lies on the disk."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> StoredRelease | None:
        """None where the document is not a release."""
        try:
            known = {one.name for one in fields(cls)}
            values = {key: value for key, value in document.items() if key in known}
            values["files"] = tuple(StoredFile(**one) for one in values["files"])
            values["gpu_flags"] = tuple(values["gpu_flags"])
            address, port = values["published"]
            values["published"] = (str(address), int(port))
            return cls(**values)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Proven:
    """A release that passed its gates on this host."""

    release: str
    image: str
    at: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]


@dataclass(frozen=True)
class Quarantined:
    """A release that failed a gate on this host."""

    release: str
    image: str
    gate: str
    reason: str
    at: str

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]


def proven(document: Any) -> list[Proven]:
    """Newest first."""
    return [Proven(**one) for one in _rows(document, Proven)]


def quarantined(document: Any) -> list[Quarantined]:
    """Newest first."""
    return [Quarantined(**one) for one in _rows(document, Quarantined)]


def _rows(document: Any, kind: type) -> list[dict[str, Any]]:
    known = {one.name for one in fields(kind)}
    rows = document if isinstance(document, list) else []
    needed = {one.name for one in fields(kind) if {one.default, one.default_factory} == {MISSING}}
    found = [row for row in rows if isinstance(row, dict) and needed <= set(row)]
    return [{key: value for key, value in row.items() if key in known} for row in found]


class Records:
    """The records of one instance on the disk."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def release(self, name: str) -> StoredRelease | None:
        """A release that can be had again."""
        return StoredRelease.from_json(files.read_json(self.places.release(name), None))

    def keep(self, release: StoredRelease) -> None:
        """Store a release, secrets included: root alone reads it."""
        folder = self.places.release(release.id).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_json(self.places.release(release.id), release.to_json())

    def proven(self) -> list[Proven]:
        """Releases that passed, newest first."""
        return proven(files.read_json(self.places.proven, []))

    def figures(self, names: list[str]) -> dict[str, Any]:
        """What the gates measured of the newest proven release among these."""
        return next((one.figures for one in self.proven() if one.release in names), {})

    def prove(self, entry: Proven) -> None:
        """A release passed; it is no longer in quarantine."""
        rest = [one for one in self.proven() if one.release != entry.release]
        rows = [asdict(one) for one in [entry, *rest][:REMEMBERED]]
        files.write_json(self.places.proven, rows)
        self.lift({entry.release})

    def forget(self, names: set[str]) -> None:
        """These can no longer be had."""
        files.write_json(
            self.places.proven,
            [asdict(one) for one in self.proven() if one.release not in names],
        )

    def quarantined(self) -> list[Quarantined]:
        """Releases that failed, newest first."""
        return quarantined(files.read_json(self.places.quarantine, []))

    def quarantine(self, entry: Quarantined) -> None:
        """A release failed a gate."""
        rest = [one for one in self.quarantined() if one.release != entry.release]
        rows = [asdict(one) for one in [entry, *rest][:REMEMBERED]]
        files.write_json(self.places.quarantine, rows)

    def lift(self, names: set[str]) -> list[Quarantined]:
        """Let releases be tried again; those that were in quarantine."""
        found = self.quarantined()
        lifted = [one for one in found if one.release in names]
        if lifted:
            rest = [asdict(one) for one in found if one.release not in names]
            files.write_json(self.places.quarantine, rest)
        return lifted

    def remember(self, line: dict[str, Any]) -> None:
        """Add a switch that ended to the history."""
        files.append(self.places.history, json.dumps(line))

    def history(self, most: int = REMEMBERED) -> list[dict[str, Any]]:
        """
        The last switches, oldest first.

        A line that a crash cut off is passed over, and of a switch that ended twice, because the
        first time its journal did not say so yet, the last one counts.
        """
        try:
            lines = self.places.history.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        found: dict[str, dict[str, Any]] = {}
        for line in lines[-2 * most :]:
            try:
                row = json.loads(line)
                found[row["id"]] = row
            except (ValueError, KeyError, TypeError):
                continue
        return list(found.values())[-most:]
