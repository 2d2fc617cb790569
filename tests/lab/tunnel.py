"""An SSH tunnel to a WebUI that its host publishes on its own loopback only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.lab.host import HostError
from tests.lab.places import STATE

KEY = STATE / "id_ed25519"
RECORD = STATE / "tunnel.pid"
PORT = 17860
OPEN_LIMIT = 15.0
"""Seconds."""


def start(address: str) -> None:
    """Forward a local port to the WebUI that its host publishes on its own loopback only."""
    stop()
    options = {
        "UserKnownHostsFile": STATE / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ExitOnForwardFailure": "yes",
    }
    command = ["ssh", "-N", "-L", f"127.0.0.1:{PORT}:127.0.0.1:7860", "-i", str(KEY)]
    command += [f"-o{name}={value}" for name, value in options.items()]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [*command, f"root@{address}"],
        stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True,
    )  # fmt: skip
    RECORD.write_text(str(process.pid), encoding="utf-8")
    deadline = time.monotonic() + OPEN_LIMIT
    while not _open():
        if process.poll() is not None or time.monotonic() > deadline:
            raise HostError(f"lab: no SSH tunnel to {address}: ssh ended with {process.poll()}")
        time.sleep(0.1)


def _open() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def stop() -> None:
    """End the tunnel of an earlier demo, by its process id."""
    if not RECORD.exists():
        return
    pid = RECORD.read_text(encoding="utf-8").strip()
    RECORD.unlink()
    command = Path(f"/proc/{pid}/cmdline")
    if pid.isdigit() and command.exists() and b"ssh" in command.read_bytes():
        os.kill(int(pid), signal.SIGTERM)
