"""The WebUI stand-in as a process of its own on a free loopback port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

APP = Path(__file__).parents[1] / "lab/standins/webui/app/runner-app"
QUICK = {"slow_start": 0, "load_seconds": 0.1, "step_seconds": 0.01, "register_seconds": 0.02}


class Process:
    """A running stand-in; `faults` may be rewritten at any time."""

    def __init__(
        self, data: Path, flags: tuple[str, ...], port: int, faults: dict[str, Any]
    ) -> None:
        self.data, self.port = data, port
        self.log = data / "log.txt"
        self.fault_file = data / ".faults.json"
        self.http = requests.Session()
        self.http.trust_env = False
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, str(APP / "webui.py"), *flags],
            cwd=data,
            env={
                **os.environ,
                "PATH": f"{data / 'bin'}:{os.environ['PATH']}",
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "WEBUI_FAULTS": json.dumps({**QUICK, **faults}),
                "WEBUI_FAULTS_FILE": str(self.fault_file),
                "GRADIO_SERVER_PORT": str(port),
            },
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            # A test run in the background of a shell ignores SIGINT, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(self.url + path, timeout=10, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.http.post(self.url + path, timeout=10, **options)

    def picture(self, **fields: object) -> requests.Response:
        small = {"steps": 1, "width": 64, "height": 64, "seed": 42}
        return self.post("/sdapi/v1/txt2img", json={**small, **fields})

    def job_is_running(self) -> bool:
        return bool(self.get("/sdapi/v1/progress").json()["state"]["job"])

    def until(self, text: str, seconds: float = 10) -> None:
        wait(lambda: text in self.log.read_text(), seconds, f"{text!r} in the log")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


def wait(done: Callable[[], object], seconds: float = 10, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(data: Path, *flags: str, model: bool = True, **faults: object) -> Process:
    models = data / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    if model:
        shutil.copy(APP / "tiny.safetensors", models)
    return Process(data, flags or ("--api",), free_port(), faults)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a process with flags, faults and a log line to wait for."""
    running: list[Process] = []

    def begin(*flags: str, wait_for: str = "Startup time", **options: Any) -> Process:
        running.append(launch(tmp_path / f"data{len(running)}", *flags, **options))
        if wait_for:
            running[-1].until(wait_for)
        return running[-1]

    yield begin
    for webui in running:
        webui.kill()


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process with the API and no login, for tests that leave it as it was."""
    webui = launch(tmp_path_factory.mktemp("plain") / "data")
    webui.until("Startup time")
    yield webui
    webui.kill()


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The same behind the API's login."""
    data = tmp_path_factory.mktemp("locked") / "data"
    webui = launch(data, "--api", "--api-auth", "alice:secret,carl:x")
    webui.until("Startup time")
    yield webui
    webui.kill()


@pytest.fixture
def nvidia_smi(tmp_path: Path) -> Callable[[str], None]:
    """Put an nvidia-smi that answers `text` on the PATH of the first process to be started."""

    def put(text: str) -> None:
        script = tmp_path / "data0" / "bin" / "nvidia-smi"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\necho '{text}'\n")
        script.chmod(0o755)

    return put
