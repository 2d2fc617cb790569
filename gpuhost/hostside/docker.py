"""Docker, through its command line, and patient: an engine that restarts comes back."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from typing import Any

SOCKET = "/var/run/docker.sock"
PATIENCE = 300.0
"""Seconds to wait for an engine that is down; a restart takes about 6."""
GONE = ("Cannot connect to the Docker daemon", "error during connect", "connection refused")


class DockerError(Exception):
    """Docker did not do it; the last line of what it said."""


def alive(timeout: float = 5.0) -> bool:
    """Whether the engine answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(SOCKET)
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def wait(patience: float = PATIENCE) -> None:
    """Wait until the engine answers.

    :raises DockerError: when it does not come back
    """
    deadline = time.monotonic() + patience
    while not alive():
        if time.monotonic() > deadline:
            raise DockerError(f"the engine did not answer for {patience:.0f} s")
        time.sleep(0.5)


def docker(*words: str, timeout: float = 120.0, stdin: bytes | None = None) -> str:
    """Run one command; what it printed. Repeated where the engine went down meanwhile.

    :raises DockerError: when it failed or took longer than `timeout` seconds
    """
    for _ in range(3):
        done = _run(words, timeout, stdin)
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "replace")
        said = done.stderr.decode("utf-8", "replace") or done.stdout.decode("utf-8", "replace")
        if alive() and not any(words_ in said for words_ in GONE):
            break
        wait()
    raise DockerError(f"docker {words[0]}: {last_line(said) or f'exit code {done.returncode}'}")


def _run(
    words: tuple[str, ...], timeout: float, stdin: bytes | None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["docker", *words], input=stdin, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise DockerError(f"docker {words[0]}: no end within {timeout:.0f} s") from None


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else ""


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """A container, image or network; None where there is none."""
    try:
        found = json.loads(docker(kind, "inspect", name))
    except DockerError as error:
        if "no such" in str(error).lower() or "not found" in str(error).lower():
            return None
        raise
    first: dict[str, Any] = found[0]
    return first


def data_root() -> str:
    """Where the engine keeps images."""
    return docker("info", "--format", "{{.DockerRootDir}}").strip() or "/var/lib/docker"
