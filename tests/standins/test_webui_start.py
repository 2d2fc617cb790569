"""How the WebUI stand-in starts: phases, ports, flags, a missing model, what it leaves on disk."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import requests

from tests.standins import conftest
from tests.standins.conftest import wait


def test_phases_of_a_start(start):
    webui = start(wait_for="", slow_start=0.3, load_seconds=2, register_seconds=1)
    with pytest.raises(requests.ConnectionError):
        webui.get("/")
    seen: list[tuple[int, int, int]] = []
    webui.until("Running on local URL")
    while not seen or seen[-1] != (200, 200, 200):
        paths = "/", "/internal/ping", "/sdapi/v1/progress"
        page, ping, api = (webui.get(path).status_code for path in paths)
        seen.append((page, ping, api))
        time.sleep(0.2)
    assert seen[0] == (200, 404, 404)
    assert "Model loaded in" not in webui.log.read_text()


def test_log_of_a_start(start):
    webui = start(wait_for="Model loaded in")
    log = webui.log.read_text()
    assert f"Running on local URL:  http://127.0.0.1:{webui.port}\n\nTo create a public" in log
    assert "memory monitor disabled" in log
    assert "Calculating sha256 for " in log


def test_picture_asked_for_while_the_model_loads_waits_for_it(start):
    webui = start(load_seconds=1.5)
    assert webui.get("/sdapi/v1/options").json()["sd_checkpoint_hash"] == ""
    assert webui.picture().status_code == 200
    assert "Model loaded in" in webui.log.read_text()
    assert len(webui.get("/sdapi/v1/options").json()["sd_checkpoint_hash"]) == 64


def test_many_requests_while_the_api_is_added_crash_the_start(start):
    webui = start(wait_for="Running on local URL", register_seconds=1)

    def poll() -> None:
        try:
            while webui.process.poll() is None:
                requests.get(f"{webui.url}/internal/ping", timeout=5)
        except requests.RequestException:
            return

    pollers = [threading.Thread(target=poll) for _ in range(6)]
    for poller in pollers:
        poller.start()
    assert webui.process.wait(10) == 1
    for poller in pollers:
        poller.join()
    assert "Cannot add middleware after an application has started" in webui.log.read_text()


def test_without_api_flag(start):
    webui = start("--listen")
    assert webui.get("/sdapi/v1/progress").status_code == 404
    assert webui.get("/internal/ping").json() == {}


def test_listen_opens_every_address(start):
    webui = start("--listen", "--api")
    assert f"Running on local URL:  http://0.0.0.0:{webui.port}" in webui.log.read_text()


def test_unknown_flag(start):
    webui = start("--api", "--no-such-flag", wait_for="unrecognized arguments: --no-such-flag")
    assert webui.process.wait(5) == 2


def test_port_that_is_taken(start):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        webui = start("--api", "--port", str(port), wait_for="Model loaded in")
        assert webui.process.wait(5) == 1
        assert f"Cannot find empty port in range: {port}-{port}. " in webui.log.read_text()


def test_without_a_port_moves_to_the_next_free_one(start, monkeypatch):
    first = start()
    monkeypatch.setattr(conftest, "free_port", lambda: first.port)
    second = start()
    assert f"http://127.0.0.1:{first.port}\n" not in second.log.read_text()


def test_without_a_checkpoint_all_answers_but_pictures(start):
    webui = start(model=False, wait_for="Startup time")
    webui.until("Stable diffusion model failed to load")
    assert webui.get("/sdapi/v1/sd-models").json() == []
    answer = webui.picture()
    assert answer.status_code == 500
    error = answer.json()
    assert (error["error"], error["detail"], error["body"]) == ("FileNotFoundError", "", "")
    assert error["errors"].startswith("No checkpoints found. When searching for checkpoints")
    assert "x-process-time" not in answer.headers


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff" * 100, "HeaderTooLarge"),
        ((5000).to_bytes(8, "little") + b"{}", "MetadataIncompleteBuffer"),
    ],
)
def test_broken_checkpoint(start, content, reason):
    webui = start(model=False)
    (webui.data / "models/Stable-diffusion/junk.safetensors").write_bytes(content)
    answer = webui.picture()
    assert answer.status_code == 500
    assert answer.json()["error"] == "SafetensorError"
    assert answer.json()["errors"] == f"Error while deserializing header: {reason}"


def test_files_of_a_start_and_of_the_first_option(start):
    webui = start()
    webui.until("Model loaded in")
    assert (webui.data / "ui-config.json").exists()
    assert (webui.data / "cache/hashes/cache.db").exists()
    assert not (webui.data / "config.json").exists()
    changed = webui.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 2})
    assert (changed.status_code, changed.text) == (200, "null")
    assert '"CLIP_stop_at_last_layers": 2' in (webui.data / "config.json").read_text()


def test_gpu_is_decided_once(start, nvidia_smi):
    nvidia_smi("24564, 24140")
    webui = start()
    system = webui.get("/sdapi/v1/memory").json()["cuda"]["system"]
    assert (system["total"], system["free"]) == (24564 << 20, 24140 << 20)
    blind = start()
    assert blind.get("/sdapi/v1/memory").json()["cuda"] == {"error": "unavailable"}


def test_gpu_that_is_lost_later(start, nvidia_smi):
    nvidia_smi("24564, 24140")
    webui = start()
    webui.fault_file.write_text('{"lose_gpu": true}')
    wait(lambda: webui.get("/sdapi/v1/memory").json()["cuda"] == {"error": "unavailable"})
