"""The same bootstrap by hand: bootstrap.sh over SSH."""

from __future__ import annotations

from pathlib import Path

import yaml

from gpuhost.hostside.inside import program
from gpuhost.hostside.places import PROGRAM
from gpuhost.planning import daemon, engine, registry_login, switch_program, toolkit
from tests.bench import hosts, ssh
from tests.bench.hosts import BenchError
from tests.bench.running import Run, measured
from tests.lab import Lab, LabHost
from tests.lab.host import pack

SCRIPT = Path(__file__).with_name("bootstrap.sh")
FILES = "/opt/bootstrap"
REPORTS = "/var/lib/gpuhost"
"""What only gpuhost writes: the records of what was proven."""


class ByHand:
    """What a person who knows the commands would bring along, taken from a finished host.

    :param finished: a Debian 12 host that gpuhost has bootstrapped
    """

    def __init__(self, lab: Lab, finished: LabHost, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.registry = lab.record["registry"]["name"]
        paths = [
            engine.KEY, engine.SOURCE, toolkit.KEY, toolkit.SOURCE, toolkit.PREFERENCES,
            daemon.DROP_IN, switch_program.SWITCH_UNIT, switch_program.STARTER, daemon.PATH,
            f"{registry_login.CLIENT}/config.json",
            f"/etc/docker/certs.d/{self.registry}/ca.crt", hosts.COMPOSE, PROGRAM,
        ]  # fmt: skip
        hosts.read(finished, paths, folder)
        contents = {path: (folder / path.lstrip("/")).read_bytes() for path in paths}
        brought = {**contents, "/gates.py": program()}
        self.archive = pack({path: (data, 0o600) for path, data in brought.items()})
        service = yaml.safe_load(contents[hosts.COMPOSE])["services"]["webui"]
        query = "dpkg-query -W -f '${Version}' nvidia-container-toolkit"
        digests = "docker image ls --digests --format '{{.Repository}}@{{.Digest}}'"
        probe = lab.record["images"]["probe"].rpartition(":")[0]
        self.words = [
            FILES,
            self.registry,
            finished.run(query, check=True).out.strip(),
            next(x for x in finished.run(digests).out.split() if x.startswith(f"{probe}@")),
            service["image"],
            service["ports"][0].split(":")[-2],
        ]
        self.result = _lasting(finished)

    def bootstrap(self, host: LabHost) -> tuple[float, float]:
        """Seconds, and load when it began; BenchError unless the host ends like `finished`."""
        began = self._ssh(host, f"mkdir -p {FILES} && tar -xC {FILES}", self.archive)
        ran = self._ssh(host, f"sh -s {' '.join(self.words)}", SCRIPT.read_bytes())
        if (result := _lasting(host)) != self.result:
            lines = sorted(set(result.splitlines()) ^ set(self.result.splitlines()))
            difference = " | ".join(lines)
            raise BenchError(f"bootstrap.sh: {host.name}: ended otherwise: {difference}")
        return began.seconds + ran.seconds, began.load

    def _ssh(self, host: LabHost, command: str, stdin: bytes) -> Run:
        return measured(ssh.words(self.lab, host, command), [], {}, stdin)


def _lasting(host: LabHost) -> str:
    """What both ways must leave behind: files, image, container."""
    lines = hosts.fingerprint(host, times=False).splitlines()
    return "\n".join(line for line in lines if REPORTS not in line)
