"""Which of our containers stay: the one that serves, the way back, and what can be looked at."""

from gpuhost.host_records import Container, HostRecords
from gpuhost.moments import moment, young
from gpuhost.retention.items import Item
from gpuhost.retention.rules import Rules


def verdict(
    container: Container, records: HostRecords, rules: Rules, now: float
) -> tuple[bool, str]:
    """Whether a container of ours stays, and why."""
    instance = records.of(container.instance)
    if container.role == "live":
        return True, "it serves" if not container.stopped else "it should serve"
    if not container.stopped:
        return True, f"it is {container.status}"
    if instance.open and instance.journal:
        return True, f"the last switch is {instance.journal.state}"
    if container.role == "previous":
        if records.live(container.instance) is None:
            return True, "there is no other container of this instance"
        return False, "its switch is over"
    return _failed(container, records, rules, now)


def item(container: Container, why: str) -> Item:
    """A container as a line."""
    return Item("container", container.id, container.name, why, instance=container.instance)


def _failed(
    container: Container, records: HostRecords, rules: Rules, now: float
) -> tuple[bool, str]:
    failures = [
        one for one in records.of(container.instance).quarantine if one.release == container.release
    ]
    reason = f"release {container.release} failed"
    if failures:
        reason += f" gate {failures[0].gate}"
    times = [container.ended, *(moment(one.at) for one in failures)]
    days = rules.keep_failed_days
    if young(times, now, days):
        return True, f"{reason} less than {days} days ago"
    return False, f"{reason} {days} days ago or more"
