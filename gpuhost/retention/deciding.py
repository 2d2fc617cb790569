"""The decision: containers first, then what they and the records need, then the rest."""

from collections.abc import Iterator

from gpuhost.host_records import Container, HostRecords, InstanceRecords
from gpuhost.retention import containers, images, leftovers, releases
from gpuhost.retention.items import Item, Retention
from gpuhost.retention.rules import Rules


def decide(records: HostRecords, rules: Rules) -> Retention:
    """What of a host stays and what goes; nothing goes where the engine did not say what it has."""
    if records.problem:
        return Retention()
    now = records.now if rules.now is None else rules.now
    kept: list[Item] = []
    gone: list[Item] = []
    staying: list[Container] = []
    for container in records.containers:
        if not container.role:
            staying.append(container)
            continue
        stays, why = containers.verdict(container, records, rules, now)
        (kept if stays else gone).append(containers.item(container, why))
        staying += [container] if stays else []
    needed = {
        one.name: releases.needed(one, records, rules, now) if _wanted(one, staying, rules) else {}
        for one in records.instances.values()
    }
    for item, stays in _images(records, rules, staying, needed):
        (kept if stays else gone).append(item)
    gone += leftovers.networks(records, {one.id for one in gone if one.kind == "container"})
    for item, stays in _releases(records, needed, gone):
        (kept if stays else gone).append(item)
    cache = tuple(leftovers.build_cache(records, rules))
    return Retention(
        kept=tuple(kept),
        removed=(*gone, *cache),
        journals=tuple(_journals(records)),
        build_cache=rules.build_cache_gb * leftovers.GB if cache else None,
    )


def _wanted(instance: InstanceRecords, staying: list[Container], rules: Rules) -> bool:
    """Whether there is or should be such an instance."""
    return (
        instance.name in rules.instances
        or instance.open
        or any(one.instance == instance.name and one.role for one in staying)
    )


def _images(
    records: HostRecords, rules: Rules, staying: list[Container], needed: dict[str, dict[str, str]]
) -> Iterator[tuple[Item, bool]]:
    ours = images.repositories(records, rules)
    users = {one.image: one.name for one in staying}
    digests = {
        releases.known(records.of(name))[release]: f"instance {name}, release {release}: {why}"
        for name, found in needed.items()
        for release, why in found.items()
        if release in releases.known(records.of(name))
    }
    for image in records.images:
        if images.is_ours(image, ours):
            why = images.reason_to_stay(image, ours, users, digests, rules)
            yield images.item(image, why or _past(records, image.names)), bool(why)


def _past(records: HostRecords, names: tuple[str, ...]) -> str:
    """What an image was to this host, that is nothing any more."""
    for instance in records.instances.values():
        for failed in instance.quarantine:
            if releases.names(names, failed.digest):
                return f"instance {instance.name}: failed gate {failed.gate} on {failed.at[:10]}"
        for proven in instance.proven:
            if releases.names(names, proven.digest):
                return f"instance {instance.name}: proven on {proven.at[:10]}, newer ones are kept"
    return "no instance ran it" if names else "it has no name any more"


def _releases(
    records: HostRecords, needed: dict[str, dict[str, str]], gone: list[Item]
) -> Iterator[tuple[Item, bool]]:
    going = [one for one in gone if one.kind == "image"]
    for instance in records.instances.values():
        found = needed[instance.name]
        known = releases.known(instance)
        for release in dict.fromkeys(
            [*(one.id for one in instance.stored), *(one.release for one in instance.proven)]
        ):
            if why := found.get(release, ""):
                yield _release(instance.name, release, why), True
                continue
            digest = known.get(release, "")
            image = next(
                (one.id for one in going if digest and releases.names(one.names, digest)), ""
            )
            why = "its image goes" if image else "neither kept nor proven lately"
            yield _release(instance.name, release, why, image), False


def _release(instance: str, release: str, why: str, image: str = "") -> Item:
    return Item("release", release, f"{instance} {release}", why, instance=instance, image=image)


def _journals(records: HostRecords) -> Iterator[tuple[str, str]]:
    for instance in records.instances.values():
        yield instance.name, instance.journal.id if instance.journal else ""
