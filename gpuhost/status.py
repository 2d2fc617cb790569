"""Where every instance of a host stands. Pure: what was observed in, one line an instance out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from gpuhost import lock as locks
from gpuhost.host_records import HostRecords, InstanceRecords
from gpuhost.hostside.journal import Journal
from gpuhost.moments import moment
from gpuhost.plan import Plan
from gpuhost.planning.image import short
from gpuhost.planning.view import View
from gpuhost.release import container_name
from gpuhost.retention.releases import can_be_had
from gpuhost.settings import Instance
from gpuhost.state import Container


@dataclass(frozen=True)
class InstanceStatus:
    """One instance of one host."""

    host: str
    instance: str
    release: str
    """Twelve digits, "" where nothing runs."""
    image: str
    """The first twelve digits of its digest."""
    age: float | None
    """Seconds since the release was proven."""
    health: str
    """healthy, starting, unhealthy, or the container's status."""
    gpus: int | None
    """How many GPUs it sees; None where it could not be asked."""
    busy: str
    """idle, busy, unknown or stopped."""
    proven: int
    """Proven releases that can be had, the running one included."""
    disk_free: int | None
    """Bytes where images lie."""
    drift: int
    """Open steps of the host's plan."""
    refused: int
    """Reasons for which nothing can be done about them."""
    last: Journal | None
    remarks: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether it serves, is proven, and there is nothing to do."""
        stuck = self.last is not None and (self.last.unfinished or self.last.state == "stranded")
        serves = self.health in ("healthy", "running") and bool(self.gpus)
        return serves and self.age is not None and not self.drift and not stuck


def lines(name: str, view: View, plan: Plan, records: HostRecords) -> Iterator[InstanceStatus]:
    """Every instance that the settings name."""
    for instance in view.settings.webui_instances:
        yield _line(name, view, plan, records, instance)


def _line(
    name: str, view: View, plan: Plan, records: HostRecords, instance: Instance
) -> InstanceStatus:
    container = view.state.containers.get(container_name(instance.name))
    release = container.labels.get("org.gpuhost.release", "") if container else ""
    remembered = records.of(instance.name)
    return InstanceStatus(
        host=name,
        instance=instance.name,
        release=release,
        image=short(container.image.rpartition("@")[2]) if container else "",
        age=_age(remembered, release, records.now),
        health=(container.health or container.status) if container else "missing",
        gpus=_gpus(container),
        busy=remembered.busy if container and container.status == "running" else "stopped",
        proven=sum(can_be_had(one, remembered, records) for one in remembered.proven),
        disk_free=min((disk.free for disk in records.disks.values()), default=None),
        drift=len(plan.steps),
        refused=len(plan.refusals),
        last=remembered.journal,
        remarks=tuple(_remarks(view, records, remembered)),
    )


def _age(remembered: InstanceRecords, release: str, now: float) -> float | None:
    found = (moment(one.at) for one in remembered.proven if one.release == release)
    at = next(found, None)
    return None if at is None else max(0.0, now - at)


def _gpus(container: Container | None) -> int | None:
    if container is None or container.gpus_seen is None:
        return None
    return sum(line.startswith("GPU ") for line in container.gpus_seen)


def _remarks(view: View, records: HostRecords, remembered: InstanceRecords) -> Iterator[str]:
    if records.problem:
        yield records.problem
    image = view.image(view.settings.image_reference)
    now = datetime.fromtimestamp(records.now, timezone.utc)
    if image and records.now and (old := locks.stale(image, view.settings.image_stale_days, now)):
        yield f"{image.reference}: {old}"
    for failed in remembered.quarantine[:1]:
        yield (
            f"release {failed.release} ({short(failed.digest)}) is in quarantine:"
            f" gate {failed.gate}: {failed.reason}"
        )
