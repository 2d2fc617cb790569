"""Networks and build cache that nothing uses any more."""

import re
from collections.abc import Iterator

from gpuhost.host_records import HostRecords, Network
from gpuhost.release import container_name
from gpuhost.retention.items import Item
from gpuhost.retention.rules import Rules

GB = 1_000_000_000


def networks(records: HostRecords, going: set[str]) -> Iterator[Item]:
    """Networks of our releases without a container that stays."""
    for network in records.networks:
        name = _instance(network, records)
        if name and network.containers <= going and not records.of(name).open:
            why = "no container of its release is left"
            yield Item("network", network.id, network.name, why, instance=name)


def build_cache(records: HostRecords, rules: Rules) -> Iterator[Item]:
    """What the build cache has beyond its limit."""
    limit = rules.build_cache_gb * GB
    if limit and records.build_cache and records.build_cache > limit:
        why = f"it is larger than {rules.build_cache_gb} GB"
        yield Item("build cache", "", "build cache", why, size=records.build_cache - limit)


def _instance(network: Network, records: HostRecords) -> str:
    """The instance whose release a network was made for; "" for a network of others."""
    for name in records.instances:
        if re.fullmatch(re.escape(container_name(name)) + "(-[0-9a-f]{12})?", network.project):
            return name
    return ""
