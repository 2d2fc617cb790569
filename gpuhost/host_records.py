"""What a host holds and remembers, as frozen dataclasses. `facts.records` fills them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuhost.hostside import journal, records
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.records import Proven, Quarantined
from gpuhost.release import container_name

VERSION = 1
NOT_INSTALLED = "gpuhost keeps no records on this host yet"


class UnreadableRecords(ValueError):
    """A document that is not the report of a host."""


@dataclass(frozen=True)
class Image:
    """One image of the engine, whoever pulled it."""

    id: str
    references: tuple[str, ...]
    """`repository@digest`."""
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size: int
    created: str
    own: int | None = None
    """Bytes that no other image has; None where that is not known."""

    @property
    def names(self) -> tuple[str, ...]:
        """Tags first: with the last of them the digests of a repository go too."""
        return (*self.tags, *self.references)

    @property
    def digests(self) -> frozenset[str]:
        """Every digest it is known by."""
        return frozenset(one.rpartition("@")[2] for one in self.references)


@dataclass(frozen=True)
class Container:
    """One container of the engine, whoever made it; `ended` is 0 while it runs."""

    id: str
    name: str
    image: str
    """The image's ID."""
    status: str
    health: str
    instance: str
    release: str
    started: float
    ended: float

    @property
    def role(self) -> str:
        """live, previous or failed; "" for a container that is not ours, whatever its labels say:
        they come along into images that somebody makes of our containers.
        """
        if not self.instance:
            return ""
        roles = {"": "live", "-previous": "previous", "-failed": "failed"}
        mine = container_name(self.instance)
        return roles.get(self.name.removeprefix(mine), "") if self.name.startswith(mine) else ""

    @property
    def stopped(self) -> bool:
        """Whether nothing of it runs."""
        return self.status in ("created", "exited", "dead")


@dataclass(frozen=True)
class Network:
    """A network of a compose project that may be ours."""

    id: str
    name: str
    project: str
    containers: frozenset[str]


@dataclass(frozen=True)
class Stored:
    """A release that a host can run again without anybody's help; image "" where it is broken."""

    id: str
    image: str
    reference: str
    size: int
    at: str

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.rpartition("@")[2]


@dataclass(frozen=True)
class InstanceRecords:
    """What a host remembers of one instance; lists are newest first, but the history."""

    name: str
    journal: Journal | None = None
    proven: tuple[Proven, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    history: tuple[Journal, ...] = ()
    """Oldest first."""
    stored: tuple[Stored, ...] = ()
    busy: str = "unknown"
    """idle, busy, unknown or stopped."""
    seconds_per_picture: float | None = None

    @property
    def open(self) -> bool:
        """Whether a switch works, or ended so badly that nothing of it may be touched."""
        found = self.journal
        return bool(found and (found.unfinished or found.state == journal.STRANDED))


@dataclass(frozen=True)
class Disk:
    """A file system with images."""

    free: int
    total: int


@dataclass(frozen=True)
class HostRecords:
    """The report of one host."""

    now: float = 0
    """The host's own clock."""
    problem: str = ""
    """Why nothing is known of what the engine holds; "" when it is."""
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()
    networks: tuple[Network, ...] = ()
    build_cache: int | None = None
    disks: Mapping[str, Disk] = field(default_factory=dict)
    instances: Mapping[str, InstanceRecords] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether something is there that could not be asked."""
        return self.problem not in ("", NOT_INSTALLED)

    def live(self, instance: str) -> Container | None:
        """The container that serves, or should."""
        found = (one for one in self.containers if one.instance == instance)
        return next((one for one in found if one.role == "live"), None)

    def of(self, instance: str) -> InstanceRecords:
        """What is remembered of an instance."""
        return self.instances.get(instance, InstanceRecords(instance))


def read(document: Any) -> HostRecords:
    """:raises UnreadableRecords: when it is not a report"""
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise UnreadableRecords(
            "should be a report of version 1; is switch.pyz of another version?"
        )
    try:
        return _read(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableRecords(f"{type(error).__name__}: {error}") from error


def _read(document: dict[str, Any]) -> HostRecords:
    return HostRecords(
        now=float(document["now"]),
        problem=str(document["engine"]),
        images=tuple(_image(one) for one in document["images"]),
        containers=tuple(Container(**one) for one in document["containers"]),
        networks=tuple(_network(one) for one in document["networks"]),
        build_cache=document["build_cache"],
        disks={path: Disk(**one) for path, one in document["disk"].items()},
        instances={name: _instance(name, one) for name, one in document["instances"].items()},
    )


def _image(found: dict[str, Any]) -> Image:
    return Image(
        **{**found, "references": tuple(found["references"]), "tags": tuple(found["tags"])}
    )


def _network(found: dict[str, Any]) -> Network:
    return Network(**{**found, "containers": frozenset(found["containers"])})


def _instance(name: str, found: dict[str, Any]) -> InstanceRecords:
    history = (Journal.from_json(one) for one in found["history"])
    return InstanceRecords(
        name=name,
        journal=Journal.from_json(found["journal"]),
        proven=tuple(records.proven(found["proven"])),
        quarantine=tuple(records.quarantined(found["quarantine"])),
        history=tuple(one for one in history if one),
        stored=tuple(Stored(**one) for one in found["releases"]),
        busy=str(found["busy"]),
        seconds_per_picture=found["seconds_per_picture"],
    )
