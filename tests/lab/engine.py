"""The engine that the lab's containers run on: the one that answers, or one started here."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import docker
from docker import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container

from tests.lab.machine import need
from tests.lab.places import cache, write_atomically
from tests.lab.steps import say, step

SOCKET = "/var/run/docker.sock"
RUNTIME = "/run/gpuhost-lab-engine"
LABEL = "gpuhost.lab"
NETWORK = "gpuhost-lab"


class EngineError(Exception):
    """No engine answers and none could be started."""


@functools.cache
def connect() -> DockerClient:
    """A client of the running engine; EngineError when none answers."""
    try:
        client = docker.DockerClient(base_url=f"unix://{SOCKET}", timeout=180, max_pool_size=32)
        client.ping()
    except (DockerException, OSError) as error:
        raise EngineError(f"engine: {SOCKET}: no answer: run python -m tests.lab up") from error
    return client


def ensure() -> DockerClient:
    """The engine that answers on the default socket, else one started in its own session."""
    try:
        return connect()
    except EngineError:
        pass
    need({"dockerd": "docker.io", "iptables": "iptables"}, "the engine that lab hosts run on")
    try:
        return connect()
    except EngineError:
        with step(f"engine: dockerd started, log in {_log()}"):
            if ours() is None:
                _start()
            return _answer()


def labelled(role: str = "") -> list[Container]:
    """The lab's containers, running or not; of one role, 'host' or 'service', if given."""
    label = f"{LABEL}.role={role}" if role else f"{LABEL}=1"
    found: list[Container] = connect().containers.list(all=True, filters={"label": label})
    return sorted(found, key=lambda container: str(container.name))


def stop() -> None:
    """Stop the engine if the lab started it; leave any other alone."""
    pid = ours()
    if pid is None:
        say("engine: not started by the lab, left running")
        return
    with step(f"engine: dockerd {pid} stopped"):
        os.kill(pid, signal.SIGTERM)
        while ours() is not None:
            time.sleep(0.1)
    _record().unlink(missing_ok=True)


def ours() -> int | None:
    """The pid of the engine that the lab started, or None when it is gone or not ours."""
    try:
        record = json.loads(_record().read_text())
        alive = _start_time(record["pid"]) == record["start_time"]
    except (OSError, ValueError, KeyError):
        return None
    return int(record["pid"]) if alive else None


def _start() -> None:
    command = ["dockerd", "--host", f"unix://{SOCKET}", "--data-root", str(cache() / "engine")]
    command += [
        "--exec-root",
        "/run/gpuhost-lab-engine",
        "--pidfile",
        "/run/gpuhost-lab-engine.pid",
    ]
    # A dockerd that was killed leaves it behind, and a new one would not start.
    Path(f"{RUNTIME}.pid").unlink(missing_ok=True)
    with _log().open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    record = {"pid": process.pid, "start_time": _start_time(process.pid)}
    write_atomically(_record(), json.dumps(record))


def _answer(timeout: float = 60) -> DockerClient:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            return connect()
        except EngineError:
            if ours() is None:
                break
            time.sleep(0.2)
    last = _log().read_text(errors="replace").splitlines()[-5:]
    raise EngineError(f"engine: dockerd: no answer, its log ends: {' | '.join(last)}")


def _start_time(pid: int) -> str:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ValueError(f"process {pid} has ended")
    return fields[19]


def _record() -> Path:
    return cache() / "engine.json"


def _log() -> Path:
    return cache() / "dockerd.log"
