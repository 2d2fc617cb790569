"""Operating system, files, disks and ports."""

import base64
import ipaddress
import shlex

from gpuhost.parsing.sections import Sections
from gpuhost.state import Disk, File, System

FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "rhel",
    "fedora": "rhel",
    "centos": "rhel",
    "suse": "suse",
    "opensuse": "suse",
    "sles": "suse",
}
CODENAMES = ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME")
"""Relatives name the release whose packages they use before their own."""


def system(parts: Sections, now: float) -> System:
    """The operating system, from /etc/os-release and uname."""
    arch, kernel, init, clock, reboot, *release = parts["system"].out
    fields = dict(line.split("=", 1) for line in release if "=" in line)
    values = {key: " ".join(shlex.split(value)) for key, value in fields.items()}
    names = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    return System(
        id="ubuntu" if "UBUNTU_CODENAME" in values else values.get("ID", ""),
        version=values.get("VERSION_ID", ""),
        codename=next((values[key] for key in CODENAMES if key in values), ""),
        family=next((FAMILIES[name] for name in names if name in FAMILIES), ""),
        name=values.get("PRETTY_NAME", "an unknown Linux"),
        arch=arch,
        kernel=kernel,
        init=init,
        reboot_required=reboot == "reboot-required",
        clock_offset=float(clock) - now,
        python=next((line[7:] for line in parts["special"].out if line.startswith("Python ")), ""),
    )


def files(parts: Sections) -> dict[str, File]:
    """The files that were asked for and exist."""
    sums = {}
    for line in parts["sums"].out if "sums" in parts else ():
        digest, _, path = line.partition("  ")
        sums[path] = digest
    contents = {}
    for line in parts["contents"].out:
        path, _, encoded = line.partition(" ")
        contents[path] = base64.b64decode(encoded)
    found = {}
    for line in parts["files"].out:
        kind, mode, owner, path = line.split(" ", 3)
        found[path] = File(path, kind, sums.get(path, ""), int(mode, 8), owner, contents.get(path))
    return found


def disks(parts: Sections) -> dict[str, Disk]:
    """Free and total bytes, by the path that was asked for."""
    rows = [line.split() for line in parts["disks"].out]
    return {row[0]: Disk(row[1], int(row[2]), int(row[3])) for row in rows if len(row) == 4}


def ports(parts: Sections) -> frozenset[tuple[str, int]]:
    """Listening sockets from /proc/net/tcp and tcp6 (addresses in host byte order, in hex)."""
    return frozenset(_socket(line) for line in parts["ports"].out if ":" in line)


def _socket(text: str) -> tuple[str, int]:
    packed, _, port = text.partition(":")
    words = [bytes.fromhex(packed[i : i + 8])[::-1] for i in range(0, len(packed), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address), int(port, 16)
