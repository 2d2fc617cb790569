"""How the WebUI stand-in ends, and its faults to order."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import requests

from tests.standins.conftest import wait


def test_sigterm_kills_at_once(start):
    assert start().stop(signal.SIGTERM) == -signal.SIGTERM


def test_sigint_ends_with_0(start):
    webui = start()
    assert webui.stop(signal.SIGINT) == 0
    assert "Interrupted with signal 2 in <frame at 0x" in webui.log.read_text()


def test_sigint_while_importing(start):
    webui = start(wait_for="", slow_start=5)
    time.sleep(0.5)
    assert webui.stop(signal.SIGINT) == -signal.SIGINT


def test_client_of_a_job_is_cut_off(start):
    webui = start(step_seconds=0.1)
    failures = []

    def ask() -> None:
        try:
            webui.picture(steps=100)
        except requests.ConnectionError as error:
            failures.append(error)

    client = threading.Thread(target=ask)
    client.start()
    wait(webui.job_is_running)
    webui.stop(signal.SIGTERM)
    client.join(5)
    assert failures


def test_exit_at_start(start):
    webui = start(wait_for="", exit_at_start=3)
    assert webui.process.wait(5) == 3


def test_never_healthy_lives_on_without_a_port(start):
    webui = start(wait_for="Model loaded in", never_healthy=True)
    time.sleep(0.3)
    assert webui.process.poll() is None
    with pytest.raises(requests.ConnectionError):
        webui.get("/")


def test_no_model(start):
    webui = start(no_model=True)
    assert webui.get("/internal/ping").status_code == 200
    answer = webui.picture()
    assert (answer.status_code, answer.json()["error"]) == (500, "FileNotFoundError")


def test_hang_accepts_and_never_answers_until_it_is_lifted(start):
    webui = start()
    webui.fault_file.write_text('{"hang": true}')
    with pytest.raises(requests.ReadTimeout):
        webui.http.get(webui.url + "/internal/ping", timeout=0.5)
    webui.fault_file.unlink()
    assert webui.get("/internal/ping").status_code == 200


def test_busy_for_some_seconds(start):
    webui = start()
    assert not webui.job_is_running()
    webui.fault_file.write_text('{"busy": 0.8}')
    wait(webui.job_is_running)
    wait(lambda: not webui.job_is_running())


def test_slow_to_start(start):
    begun = time.monotonic()
    start(slow_start=1)
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_slow_to_stop(start, number, code):
    webui = start(slow_stop=0.5)
    begun = time.monotonic()
    assert webui.stop(number) == code
    assert time.monotonic() - begun >= 0.5


def test_fault_file_that_is_no_json_is_no_fault(start):
    webui = start()
    webui.fault_file.write_text("{half")
    assert webui.get("/internal/ping").status_code == 200


def test_dies_some_time_after_the_api_opened(start):
    webui = start(exit_after=1)
    assert webui.picture().status_code == 200
    assert webui.process.wait(5) == 134
    assert "CUDA error: an illegal memory access" in webui.log.read_text()


def test_dies_when_told_to_while_running(start):
    webui = start()
    webui.fault_file.write_text('{"exit_after": 0.1}')
    assert webui.process.wait(5) == 134


def test_rewrites_its_settings_at_start(start):
    webui = start(rewrite_config=True, no_model=True)
    assert (webui.data / "config.json").read_text() == '{"written_by": ""}'
    assert webui.picture().status_code == 500
