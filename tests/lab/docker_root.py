"""A small disk for a host's Docker, so that a pull runs out of it for real."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab import engine, machine
from tests.lab.host import LAB, LabHost

FOLDER = "/var/lib/docker"
DISK = f"{FOLDER}/disk.img"
UNIT = "/etc/systemd/system/lab-docker-root.service"
# A container has no udev: the nodes of loop devices are made here, also after a reboot.
MOUNT = f"""#!/bin/sh
set -eu
mountpoint -q {FOLDER} && [ ! -e {DISK} ] && exit 0
[ -e /dev/loop-control ] || mknod -m 600 /dev/loop-control c 10 237
for attempt in 1 2 3 4 5; do
    free=$(losetup -f | tr -dc 0-9)
    [ -e /dev/loop$free ] || mknod -m 600 /dev/loop$free b 7 $free
    mount -o loop {DISK} {FOLDER} && exit 0
    sleep 0.2
done
exit 1
"""
SERVICE = f"""[Unit]
Description=A small disk for Docker
DefaultDependencies=no
Before=docker.service docker.socket sysinit.target
After=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {LAB}/docker-root

[Install]
WantedBy=sysinit.target
"""


def small_docker_root(host: LabHost, megabytes: int) -> str:
    """Give /var/lib/docker a disk of so many MiB before Docker is there; "loop" or "tmpfs".

    An ext4 on a loop device, which outlives reboots; where this machine has no loop devices, a
    tmpfs, which a reboot empties.
    """
    _disk(host, megabytes)
    host.put({f"{LAB}/docker-root": (MOUNT, 0o755), UNIT: (SERVICE, 0o644)})
    if host.run("systemctl enable -q --now lab-docker-root").rc == 0:
        return "loop"
    host.run(
        f"systemctl disable -q lab-docker-root; mount -t tmpfs -o size={megabytes}m tmpfs {FOLDER}",
        check=True,
    )
    return "tmpfs"


def _disk(host: LabHost, megabytes: int) -> None:
    """An empty file system in the host's volume, made from outside: hosts lack mkfs."""
    machine.need({"mkfs.ext4": "e2fsprogs"}, "a small disk for a lab host")
    volume = engine.connect().volumes.get(host.volume)
    disk = Path(volume.attrs["Mountpoint"]) / Path(DISK).name
    with disk.open("wb") as file:
        file.truncate(megabytes << 20)
    make = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(disk)]
    subprocess.run(make, check=True)
