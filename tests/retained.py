"""A host that exists only as records: updates, ways back and prunes, without a machine."""

from dataclasses import dataclass, field, replace
from time import gmtime, strftime

from gpuhost.host_records import (
    Container,
    HostRecords,
    Image,
    InstanceRecords,
    Network,
    Stored,
)
from gpuhost.hostside import journal
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.records import Proven, Quarantined
from gpuhost.retention import Retention

REPOSITORY = "registry.example/webui"
FOREIGN = "registry.example/database"
DAY = 86_400


def digest(number: int) -> str:
    return f"sha256:{number:012x}{'0' * 52}"


def reference(number: int, repository: str = REPOSITORY) -> str:
    return f"{repository}@{digest(number)}"


def image(number: int, repository: str = REPOSITORY, *tags: str) -> Image:
    keep = (f"{REPOSITORY}:gpuhost-{number:012x}",) if repository == REPOSITORY else ()
    return Image(
        f"id-{number}", (reference(number, repository),), (*keep, *tags), {}, 5_000_000_000, ""
    )


@dataclass
class Host:
    """One host; its methods are what people and switches do to it."""

    now: float = 1_800_000_000.0
    images: dict[str, Image] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    instances: dict[str, InstanceRecords] = field(default_factory=dict)
    count: int = 0

    @property
    def records(self) -> HostRecords:
        there = {one.id for one in self.containers.values()}
        return HostRecords(
            now=self.now,
            images=tuple(self.images.values()),
            containers=tuple(self.containers.values()),
            networks=tuple(
                replace(one, containers=one.containers & there) for one in self.networks.values()
            ),
            instances=dict(self.instances),
        )

    @property
    def at(self) -> str:
        return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(self.now))

    def of(self, name: str) -> InstanceRecords:
        return self.instances.setdefault(name, InstanceRecords(name))

    def running(self, name: str) -> str:
        live = self.records.live(name)
        return live.release if live else ""

    def pull(self, number: int) -> None:
        found = image(number)
        self.images.setdefault(found.id, found)

    def update(self, name: str, number: int, end: str = journal.COMMITTED) -> str:
        """A switch to a new release of this image, with this end; the release."""
        self.count += 1
        release = f"{self.count:012x}"
        self.pull(number)
        stored = Stored(release, reference(number), f"{REPOSITORY}:nightly", 1, self.at)
        before, back = self.of(name), self.running(name)
        self.instances[name] = replace(
            before,
            stored=(*before.stored, stored),
            journal=Journal(f"j{self.count}", name, release, back, digest(number), state=end),
        )
        self._end(name, release, number, end)
        return release

    def rollback(self, name: str, release: str) -> None:
        """Back to a proven release that is stored."""
        self.count += 1
        stored = next(one for one in self.of(name).stored if one.id == release)
        number = int(stored.digest[7:19], 16)
        self.pull(number)
        found = Journal(f"j{self.count}", name, release, state=journal.COMMITTED)
        self.instances[name] = replace(self.of(name), journal=found)
        self._end(name, release, number, journal.COMMITTED)

    def _end(self, name: str, release: str, number: int, end: str) -> None:
        entry = self.of(name)
        if end == journal.COMMITTED:
            self._run(name, "", release, number)
            rest = [one for one in entry.proven if one.release != release]
            proven = (Proven(release, reference(number), self.at), *rest)
            quarantine = tuple(one for one in entry.quarantine if one.release != release)
            self.instances[name] = replace(entry, proven=proven, quarantine=quarantine)
        elif end in (journal.ROLLED_BACK, journal.FAILED):
            failed = Quarantined(release, reference(number), "picture", "black", self.at)
            self.instances[name] = replace(entry, quarantine=(failed, *entry.quarantine))
            suffix = "-failed" if self.running(name) else ""
            self._run(name, suffix, release, number, "exited")
        elif end == journal.STRANDED:
            live = self.containers.pop(f"gpuhost-{name}", None)
            if live:
                aside = f"gpuhost-{name}-previous"
                self.containers[aside] = replace(live, name=aside, status="exited", ended=self.now)
            self._run(name, "", release, number, "exited")

    def _run(
        self, name: str, suffix: str, release: str, number: int, status: str = "running"
    ) -> None:
        called = f"gpuhost-{name}{suffix}"
        ended = 0 if status == "running" else self.now
        made = Container(
            f"{called}/{self.count}", called, f"id-{number}", status, "healthy", name, release,
            self.now, ended,
        )  # fmt: skip
        self.containers[called] = made
        project = f"gpuhost-{name}-{release}"
        self.networks[project] = Network(
            f"net-{project}", f"{project}_default", project, frozenset({made.id})
        )

    def foreign_container(self, number: int, status: str) -> None:
        """Somebody's own container of one of these images, labels and all."""
        self.count += 1
        name = f"theirs-{self.count}"
        self.containers[name] = Container(
            name, name, f"id-{number}", status, "", "webui", "x", self.now, self.now
        )

    def carry_out(self, found: Retention) -> None:
        """What `hostside.pruning` does; the engine refuses to remove what a container uses."""
        gone = {one.id for one in found.of("container")}
        self.containers = {k: v for k, v in self.containers.items() if v.id not in gone}
        used = {one.image for one in self.containers.values()}
        for one in found.of("image"):
            assert one.id not in used
            del self.images[one.id]
        nets = {one.id for one in found.of("network")}
        self.networks = {k: v for k, v in self.networks.items() if v.id not in nets}
        for one in found.of("release"):
            entry = self.of(one.instance)
            self.instances[one.instance] = replace(
                entry,
                stored=tuple(other for other in entry.stored if other.id != one.id),
                proven=tuple(other for other in entry.proven if other.release != one.id),
            )
