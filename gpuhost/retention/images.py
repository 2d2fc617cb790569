"""Which images stay. Only those of our repositories are looked at."""

import re
from collections.abc import Mapping

from gpuhost.host_records import HostRecords, Image
from gpuhost.planning.image import familiar, repository
from gpuhost.retention.items import Item
from gpuhost.retention.releases import names
from gpuhost.retention.rules import Rules

KEEP_TAG = re.compile(r":gpuhost-[0-9a-f]{12}$")
OURS = "org.gpuhost."
COMMITTED = "org.gpuhost.instance"
"""A label of our containers; an image that has it was made of one by somebody."""


def repositories(records: HostRecords, rules: Rules) -> frozenset[str]:
    """Ours: those of the settings, and those that stored releases come from."""
    known: set[str] = set()
    for instance in records.instances.values():
        known |= {one.image for one in instance.stored if one.image}
        known |= {one.image for one in instance.proven}
        known |= {one.image for one in instance.quarantine}
    return rules.repositories | {familiar(repository(one)) for one in known}


def is_ours(image: Image, ours: frozenset[str]) -> bool:
    """Whether anything about an image is for us to decide."""
    if not image.names:
        return COMMITTED not in image.labels and any(one.startswith(OURS) for one in image.labels)
    return any(_repository(one) in ours or KEEP_TAG.search(one) for one in image.names)


def reason_to_stay(
    image: Image, ours: frozenset[str], users: Mapping[str, str], needed: Mapping[str, str],
    rules: Rules,
) -> str:  # fmt: skip
    """
    Why an image stays; "" where nothing speaks for it.

    :param users: a container that stays, by image
    :param needed: why by digest
    """
    if image.id in users:
        return f"container {users[image.id]} uses it"
    for digest, why in needed.items():
        if names(image.names, digest):
            return why
    for digests, why in ((rules.pinned, "it is pinned"), (rules.locked, "it is in the lock")):
        if any(names(image.names, digest) for digest in digests):
            return why
    foreign = [one for one in image.names if _is_foreign(one, ours)]
    return f"it is also called {foreign[0]}" if foreign else ""


def item(image: Image, why: str) -> Item:
    """An image as a line."""
    called = sorted(image.references) or sorted(image.tags) or [image.id]
    return Item(
        "image", image.id, called[0], why, size=image.size, own=image.own, names=image.names
    )


def _is_foreign(name: str, ours: frozenset[str]) -> bool:
    return _repository(name) not in ours and not KEEP_TAG.search(name)


def _repository(name: str) -> str:
    return familiar(repository(name))
