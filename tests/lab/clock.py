"""A clock that jumps, for one unit of a host: all hosts share this machine's real clock."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.lab import packages
from tests.lab.host import LAB, HostError, LabHost
from tests.lab.places import cache

SUITE = "trixie"
LIBRARY = f"{LAB}/libfaketime.so.1"
OFFSET = f"{LAB}/clock-offset"
DROP_IN = f"""[Service]
Environment=LD_PRELOAD={LIBRARY}
Environment=FAKETIME_TIMESTAMP_FILE={OFFSET}
Environment=FAKETIME_NO_CACHE=1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1
Environment=NO_FAKE_STAT=1
"""


def fake_clock(host: LabHost, unit: str) -> None:
    """Let a unit (a name, or a prefix such as 'gpuhost-') follow `jump_clock` from its next start.

    Debian's libfaketime is loaded into the unit's programs. They, and what they start, see the
    wall clock jump: Python, sh, date. Not so Go programs such as docker, the engine, systemd's
    timers, time stamps of the kernel on files, and the monotonic clock, which does not jump on a
    real host either. So it shows that a program does not measure by the wall clock, and not what
    a jump does to the engine. Debian 13 only: in Debian 12's libfaketime Python cannot sleep.
    """
    if host.os != "debian13":
        raise HostError(f"{host.name}: os: should be debian13 for a clock that jumps")
    host.put(
        {
            LIBRARY: (_library().read_bytes(), 0o755),
            OFFSET: ("+0", 0o644),
            f"/etc/systemd/system/{unit}.service.d/lab-clock.conf": (DROP_IN, 0o644),
        }
    )
    host.run("systemctl daemon-reload", check=True)


def jump_clock(host: LabHost, seconds: int) -> None:
    """Set the clock of such units ahead (or back, if negative) of the real one, at once."""
    text = shlex.quote(f"{seconds:+d}")
    host.run(f"echo {text} > {OFFSET}.new && mv {OFFSET}.new {OFFSET}", check=True)


def _library() -> Path:
    kept = cache() / "libfaketime" / SUITE / "libfaketime.so.1"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            package = packages.download(SUITE, ["libfaketime"], Path(folder))["libfaketime"]
            subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
            (found,) = Path(folder).glob("usr/lib/*/faketime/libfaketime.so.1")
            kept.parent.mkdir(parents=True, exist_ok=True)
            found.replace(kept)
    return kept
