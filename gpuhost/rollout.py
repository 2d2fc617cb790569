"""Whether the lock may follow a rollout."""

from collections.abc import Mapping

from gpuhost.verdict import HostVerdict

GOOD = frozenset({"updated", "nothing to do"})


def why_not(hosts: Mapping[str, HostVerdict]) -> str:
    """Why a rollout did not pass, so that the lock stays; "" when it passed."""
    found = sorted(hosts.items())
    return ", ".join(f"{name} {one.outcome}" for name, one in found if one.outcome not in GOOD)
