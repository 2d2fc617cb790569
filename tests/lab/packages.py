"""Debian packages of any release, downloaded without touching this machine's own apt."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import machine
from tests.lab.places import cache

# Lists are asked for once; nothing of this machine's own apt state or hooks is used.
CONFIG = """#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "root";
Dir::Etc::SourceList "{room}/debian.sources";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "-";
Dir::State "{room}/state";
Dir::State::Status "{room}/status";
Dir::Cache "{room}/cache";
"""


def download(suite: str, names: Sequence[str], into: Path) -> dict[str, Path]:
    """Fetch the newest version of these packages; each one's file by its name."""
    room = cache() / "apt" / suite
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (room / folder).mkdir(parents=True, exist_ok=True)
    (room / "status").touch()
    (room / "debian.sources").write_text(machine.sources(suite))
    (room / "apt.conf").write_text(CONFIG.format(room=room) + machine.apt_options())
    into.mkdir(parents=True, exist_ok=True)
    _apt(room, "update", cwd=room)
    _apt(room, "download", *names, cwd=into)
    return {name: max(into.glob(f"{name}_*.deb"), key=os.path.getmtime) for name in names}


def field(package: Path, name: str) -> str:
    """One control field of a .deb."""
    done = subprocess.run(
        ["dpkg-deb", "--field", str(package), name], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _apt(room: Path, *arguments: str, cwd: Path) -> None:
    environment = {**os.environ, "APT_CONFIG": str(room / "apt.conf")}
    done = subprocess.run(
        ["apt-get", "-q", *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )
    if done.returncode:
        tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise machine.MachineError(f"apt-get {arguments[0]}: rc {done.returncode}: {tail}")
