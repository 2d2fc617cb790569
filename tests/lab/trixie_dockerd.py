"""Debian trixie's dockerd, unpacked beside whatever runs here: it knows ``--validate``."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tests.lab.packages import download
from tests.lab.places import cache


def trixie_dockerd() -> Path:
    """Give the path of dockerd 26.1 or newer; fetch its package the first time.

    Raises MachineError with what apt said where the package cannot be had.
    """
    home = cache() / "dockerd-validate"
    home.mkdir(parents=True, exist_ok=True)
    dockerd = home / "root/usr/sbin/dockerd"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not dockerd.exists():
            with tempfile.TemporaryDirectory(dir=home) as room:
                _unpack(Path(room)).rename(home / "root")
    return dockerd


def _unpack(room: Path) -> Path:
    package = download("trixie", ["docker.io"], room)["docker.io"]
    root = room / "root"
    subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    subprocess.run([str(root / "usr/sbin/dockerd"), "--version"], check=True, capture_output=True)
    return root
