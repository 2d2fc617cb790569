"""The bench's own hosts: made bare, looked at from outside, and taken away again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from tests.lab import Lab, LabHost
from tests.lab.hosts import default

NUMBERS = (31, 32, 33, 34, 35)
PYTHON = ("python3", "python3-apt", "python3-requests")
"""What Ansible's apt module and community.docker need on a host; ours needs none of it."""
CONTAINER = "gpuhost-webui"
COMPOSE = "/etc/gpuhost/instances/webui/compose.yaml"
MANAGED = (
    "/etc/apt/keyrings",
    "/etc/apt/sources.list.d",
    "/etc/apt/preferences.d",
    "/etc/docker",
    "/etc/systemd/system/docker.service.d",
    "/etc/systemd/system/docker.service.wants/gpuhost-start.service",
    "/etc/systemd/system/gpuhost-start.service",
    "/etc/systemd/system/gpuhost-switch@.service",
    "/etc/gpuhost",
    "/usr/local/lib/gpuhost",
    "/var/lib/gpuhost",
)


class BenchError(Exception):
    """A measured thing did not do its job; the message says which and how."""


def names() -> list[str]:
    """The hosts of the bench: lab-31 to lab-35."""
    return [default(number).name for number in NUMBERS]


def recreate(lab: Lab, name: str) -> LabHost:
    """A bare host in place of the one of that name."""
    return lab.fresh(name)


def destroy(numbers: Sequence[int]) -> None:
    """Remove hosts of the bench and what their engines held."""
    for number in numbers:
        default(number).destroy()


def log_sessions(host: LabHost) -> None:
    """Make sshd write down every command it is asked to run, so that they can be counted."""
    host.run(
        "echo 'LogLevel VERBOSE' >/etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh",
        check=True,
    )


def install_python(host: LabHost) -> None:
    """Give a host what Ansible needs there."""
    host.run(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update &&"
        f" apt-get -qq install --yes --no-install-recommends {' '.join(PYTHON)}",
        check=True,
    )


def mark(host: LabHost) -> str:
    """A place in the host's journal, for `sessions_since`."""
    out = host.run("journalctl --sync; journalctl -n 0 --show-cursor --no-pager", check=True).out
    return out.rpartition("-- cursor: ")[2].strip()


def sessions_since(host: LabHost, cursor: str) -> int:
    """How many commands (subsystems such as sftp included) sshd ran since a mark."""
    out = host.run(
        "journalctl --sync; journalctl --no-pager -o cat -t sshd -t sshd-session"
        f" --after-cursor='{cursor}' | grep -c '^Starting session: '"
    ).out
    return int(out.strip() or 0)


def fingerprint(host: LabHost, times: bool = True) -> str:
    """What a run must not touch: managed files with owner, mode and hash, and the container.

    :param times: also mtimes, the container's id and when it was started
    """
    stat = "%n %a %u:%g %Y" if times else "%n %a %u:%g"
    which = "{{.Id}} {{.State.StartedAt}} " if times else ""
    release = '{{index .Config.Labels "org.gpuhost.release"}}'
    return host.run(
        f"find {' '.join(MANAGED)} ! -type d -exec stat -c '{stat}' {{}} + "
        "-exec sha256sum {} + 2>/dev/null | sort\n"
        f"stat -c '{stat}' /srv/gpuhost/webui\n"
        f"docker inspect -f '{which}{{{{.State.Status}}}} {{{{.Config.Image}}}} {release}'"
        f" {CONTAINER}",
        check=True,
    ).out


def read(host: LabHost, paths: list[str], folder: Path) -> None:
    """Copy files of a host below a folder, at the same paths."""
    for path in paths:
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(host.run(f"base64 {path}", check=True).out))
