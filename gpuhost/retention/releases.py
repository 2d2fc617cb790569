"""Which releases of an instance stay, and why."""

from collections.abc import Iterator

from gpuhost.host_records import HostRecords, InstanceRecords
from gpuhost.hostside import journal
from gpuhost.hostside.records import Proven
from gpuhost.moments import moment, young
from gpuhost.retention.rules import Rules


def needed(
    instance: InstanceRecords, records: HostRecords, rules: Rules, now: float
) -> dict[str, str]:
    """Why by release; of several reasons the first."""
    found: dict[str, str] = {}
    for release, why in _reasons(instance, records, rules, now):
        if release:
            found.setdefault(release, why)
    return found


def known(instance: InstanceRecords) -> dict[str, str]:
    """Digest by release, of every release that anything is remembered of."""
    found = {one.release: one.digest for one in instance.quarantine}
    found.update({one.release: one.digest for one in instance.proven})
    if instance.journal and instance.journal.digest:
        found[instance.journal.to] = instance.journal.digest
    return {**found, **{one.id: one.digest for one in instance.stored if one.image}}


def _reasons(
    instance: InstanceRecords, records: HostRecords, rules: Rules, now: float
) -> Iterator[tuple[str, str]]:
    live = records.live(instance.name)
    running = live.release if live else ""
    yield running, "it runs" if live and live.status == "running" else "it should run"
    yield from _journal(instance)
    yield from _proven(instance, records, rules, running)
    for one in instance.quarantine:
        if young([moment(one.at)], now, rules.keep_failed_days):
            days = rules.keep_failed_days
            yield one.release, f"it failed gate {one.gate} less than {days} days ago"


def _journal(instance: InstanceRecords) -> Iterator[tuple[str, str]]:
    last = instance.journal
    if last and instance.open:
        yield last.to, f"the last switch is {last.state}"
        yield last.back, f"the last switch is {last.state}, and may go back to it"
    elif last and last.state == journal.SKIPPED:
        yield last.to, "the last switch was skipped and will be tried again"


def _proven(
    instance: InstanceRecords, records: HostRecords, rules: Rules, running: str
) -> Iterator[tuple[str, str]]:
    at_hand = [one for one in instance.proven if can_be_had(one, instance, records)]
    newest = at_hand[: rules.keep]
    if running not in {one.release for one in newest} and any(
        one.release == running for one in at_hand
    ):
        newest = newest[: rules.keep - 1]
    for one in newest:
        yield one.release, f"it is among the last {rules.keep} proven releases"
    back = next((one for one in at_hand if one.release != running), None)
    if back:
        yield back.release, "it is the way back"
    for digests, why in (
        (rules.pinned, "its image is pinned"),
        (rules.locked, "its image is locked"),
    ):
        for digest in digests:
            last = next((one for one in at_hand if one.digest == digest), None)
            if last:
                yield last.release, why


def can_be_had(one: Proven, instance: InstanceRecords, records: HostRecords) -> bool:
    """Whether a release is stored and its image is here."""
    stored = any(one.release == other.id and other.image for other in instance.stored)
    return stored and any(names(image_names, one.digest) for image_names in _names(records))


def _names(records: HostRecords) -> Iterator[tuple[str, ...]]:
    return (image.names for image in records.images)


def names(found: tuple[str, ...], digest: str) -> bool:
    """Whether one of an image's names means this digest: itself, or the tag that keeps it."""
    tag = f":gpuhost-{digest.rpartition(':')[2][:12]}"
    return any(one.endswith((f"@{digest}", tag)) for one in found)
