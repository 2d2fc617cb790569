"""One Debian root file system as a tar, made by mmdebstrap: whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import machine
from tests.lab.places import cache

UNWANTED = ("doc", "man", "locale")
# In a process namespace of its own: when the bring-up is killed, all of it ends at once.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--mount-proc")


def make(
    tar: Path, suite: str, packages: str, variant: str = "minbase", hooks: Sequence[str] = ()
) -> None:
    """Write `tar`; `hooks` are mmdebstrap options. MachineError with what mmdebstrap said."""
    machine.need({"mmdebstrap": "mmdebstrap"}, "making root file systems")
    room = _empty_room(tar)
    command = [*ENDS_WITH_US, "--kill-child=KILL"]
    command += ["mmdebstrap", "--mode=root", f"--variant={variant}", "--format=tar"]
    command += [f"--include={packages}", f"--keyring={machine.KEYRING}"]
    command += [f"--aptopt={line}" for line in machine.apt_options().splitlines()]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNWANTED]
    command += [*hooks, suite, str(room / "root.tar"), "-"]
    done = subprocess.run(
        command,
        input=machine.sources(suite),
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(room)},
    )
    if done.returncode:
        tail = " | ".join(done.stderr.strip().splitlines()[-4:])
        raise machine.MachineError(f"root {tar.stem}: mmdebstrap: rc {done.returncode}: {tail}")
    tar.parent.mkdir(parents=True, exist_ok=True)
    (room / "root.tar").replace(tar)
    shutil.rmtree(room)


def hook(kind: str, script: Path, *arguments: Path) -> str:
    """The option that runs `script ARGUMENTS... ROOT` at a stage of mmdebstrap."""
    words = ["sh", str(script), *map(str, arguments)]
    return f'--{kind}-hook={shlex.join(words)} "$1"'


def _empty_room(tar: Path) -> Path:
    room = cache() / "building" / tar.stem
    if any(f" {room}/" in line for line in Path("/proc/mounts").read_text().splitlines()):
        raise machine.MachineError(f"root {tar.stem}: {str(room)!r}: something is mounted in there")
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    # apt downloads as a user of its own and must get in.
    room.chmod(0o755)
    return room
