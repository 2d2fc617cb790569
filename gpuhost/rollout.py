"""Which hosts are switched together, and whether the lock may follow them."""

from collections.abc import Mapping, Sequence

from gpuhost.verdict import HostVerdict

GOOD = frozenset({"updated", "nothing to do"})


def waves(hosts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The hosts that are switched side by side: all at once, in the inventory's order."""
    return (tuple(hosts),) if hosts else ()


def why_not(hosts: Mapping[str, HostVerdict]) -> str:
    """Why a rollout did not pass, so that the lock stays; "" when it passed."""
    found = sorted(hosts.items())
    return ", ".join(f"{name} {one.outcome}" for name, one in found if one.outcome not in GOOD)
