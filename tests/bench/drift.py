"""Both tools keep the same things: what one finds broken, the other finds repaired."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuhost.hostside.places import PROGRAM
from gpuhost.planning import daemon, registry_login, toolkit
from tests.bench import hosts, ours
from tests.bench.hosts import CONTAINER, BenchError
from tests.bench.playbook import Playbook
from tests.bench.running import Run, unchanged
from tests.lab import LabHost
from tests.lab.steps import step

BREAK = f"""set -e
rm {toolkit.SOURCE} {registry_login.CLIENT}/config.json
echo '{{}}' >{daemon.PATH}
chmod 0600 {daemon.DROP_IN}
systemctl disable --quiet gpuhost-start.service
chown 0:0 /srv/gpuhost/webui
echo '# changed' >>{PROGRAM}
docker rm --force {CONTAINER} >/dev/null
"""


def check(targets: Sequence[LabHost], ansible: Playbook) -> None:
    """Break hosts by hand, let one tool repair them, and have the other find nothing to do.

    :raises BenchError: when a tool misses something that the other keeps
    """
    _repaired("gpuhost", ours.deploy, ansible.no_change, targets)
    _repaired("ansible", ansible.run, ours.no_change, targets)


def _repaired(
    name: str,
    tool: Callable[[Sequence[LabHost]], Run],
    other: Callable[[Sequence[LabHost]], Run],
    targets: Sequence[LabHost],
) -> None:
    before = {host.name: hosts.fingerprint(host, times=False) for host in targets}
    for host in targets:
        host.run(BREAK, check=True)
    with step(f"what was broken by hand, repaired by {name}"):
        tool(targets)
    for host in targets:
        after = _kept(hosts.fingerprint(host, times=False))
        if after != _kept(before[host.name]):
            lines = sorted(after ^ _kept(before[host.name]))
            raise BenchError(f"{name}: {host.name}: not repaired: {' | '.join(lines)}")
    unchanged(other, targets)


def _kept(fingerprint: str) -> set[str]:
    """Without the records that only gpuhost writes, which name the time of a proof."""
    return {line for line in fingerprint.splitlines() if "/var/lib/gpuhost" not in line}
