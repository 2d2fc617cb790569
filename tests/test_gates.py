"""The programs that run inside the WebUI's container, on a real Python against a tiny server."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpuhost.inside import gates

SLEEP = time.sleep
INSIDE = Path(gates.__file__).parent
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
WORKING = {
    "/internal/ping": (200, {}),
    "/sdapi/v1/progress": (200, {"progress": 0.0}),
    "/sdapi/v1/memory": (200, {"ram": {}, "cuda": {"system": {"total": 24 * 2**30}}}),
    "/sdapi/v1/txt2img": (200, {"images": [PNG]}),
}


class WebUI(ThreadingHTTPServer):
    """Answers from `answers`; an entry that is a list is used up one by one."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = dict(WORKING)
        self.asked = []
        self.login = None
        self.slow = 0.0


class Handler(BaseHTTPRequestHandler):
    server: WebUI

    def do_GET(self):
        path = self.path.partition("?")[0]
        length = int(self.headers.get("Content-Length", 0))
        self.server.asked.append((path, self.rfile.read(length)))
        found = self.server.answers[path]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if self.server.login and self.headers.get("Authorization") != self.server.login:
            found = (401, {"detail": "Not authenticated"})
        if path == "/sdapi/v1/txt2img":
            SLEEP(self.server.slow)
        self.answer(*found)

    do_POST = do_GET

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def webui(monkeypatch, tmp_path):
    with WebUI() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        monkeypatch.setattr(gates, "URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(gates, "LOGIN", str(tmp_path / "login"))
        monkeypatch.setattr(gates.time, "sleep", lambda seconds: server.asked.append(("", seconds)))
        yield server
        server.shutdown()


@pytest.fixture
def run(capsys):
    def main(*words):
        code = gates.main(list(words))
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return main


ALL = ("answers=2", "gpu=2", "picture=2")


def test_all_gates_pass(webui, run):
    code, said = run(*ALL)
    assert code == 0
    assert [(line.get("gate"), line.get("state")) for line in said[:-1]] == [
        (gate, state) for gate in ("answers", "gpu", "picture") for state in ("waiting", "passed")
    ]
    figures = said[-1]["figures"]
    assert said[-1]["proven"] is True
    assert figures["vram_bytes"] == 24 * 2**30
    assert set(figures) == {"vram_bytes", "answers_seconds", "gpu_seconds", "picture_seconds"}


def test_the_picture_is_small_and_always_the_same(webui, run):
    run("picture=2")
    assert json.loads(webui.asked[-1][1]) == {
        "prompt": "a red cube", "steps": 1, "width": 64, "height": 64, "seed": 1
    }  # fmt: skip


def test_only_the_gates_that_were_named_run(webui, run):
    code, said = run("answers=2")
    assert (code, len(said)) == (0, 3)
    assert [path for path, _ in webui.asked] == ["/internal/ping", "/sdapi/v1/progress"]


def test_it_waits_a_second_between_probes_while_the_webui_starts(webui, run):
    webui.answers["/sdapi/v1/progress"] = [(404, {}), (503, {}), (200, {})]
    code, _ = run("answers=5")
    assert code == 0
    assert [seconds for path, seconds in webui.asked if not path] == [1, 1]


def failure(said):
    assert said[-1]["state"] == "failed"
    return said[-1]["gate"], said[-1]["reason"]


def test_no_answer_in_time_says_the_last_one(webui, run, monkeypatch):
    monkeypatch.setattr(gates.time, "sleep", lambda seconds: time.monotonic())
    webui.answers["/internal/ping"] = (500, {})
    code, said = run("answers=1", "gpu=1")
    assert code == 1
    assert failure(said) == ("answers", "no answer within 1 s, last: HTTP 500")


def test_nobody_listens(webui, run, monkeypatch):
    webui.shutdown()
    webui.server_close()
    code, said = run("answers=1")
    assert code == 1
    assert failure(said) == (
        "answers",
        "no answer within 1 s, last: [Errno 111] Connection refused",
    )


GPU_FAILURES = {
    "an error instead of a gpu": (
        {"ram": {}, "cuda": {"error": "unavailable"}}, "the WebUI sees no GPU: unavailable"),
    "no word of a gpu": ({"ram": {}}, "the WebUI sees no GPU: no word of CUDA"),
    "another form": ([], "the WebUI sees no GPU: no word of CUDA"),
}  # fmt: skip


@pytest.mark.parametrize("name", GPU_FAILURES)
def test_no_gpu(webui, run, name):
    body, reason = GPU_FAILURES[name]
    webui.answers["/sdapi/v1/memory"] = (200, body)
    code, said = run(*ALL)
    assert (code, failure(said)) == (1, ("gpu", reason))
    assert "/sdapi/v1/txt2img" not in [path for path, _ in webui.asked]


PICTURE_FAILURES = {
    "no image": (200, {"images": []}, "the answer holds no PNG"),
    "no list": (200, ["x"], "the answer holds no PNG"),
    "something else": (200, {"images": [base64.b64encode(b"GIF89a").decode()]},
                       "the answer holds no PNG"),
    "out of memory": (500, {"error": "OutOfMemoryError", "detail": "", "body": "",
                            "errors": "CUDA out of memory."},
                      "HTTP 500: OutOfMemoryError  CUDA out of memory."),
    "no model": (422, {"detail": "model not found"}, "HTTP 422: model not found"),
    "no json": (500, b"<html>", "HTTP 500: no reason given"),
    "a list of reasons": (422, [{"msg": "x"}], "HTTP 422: no reason given"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURE_FAILURES)
def test_no_picture(webui, run, name):
    status, body, reason = PICTURE_FAILURES[name]
    webui.answers["/sdapi/v1/txt2img"] = (status, body)
    code, said = run(*ALL)
    assert code == 1
    assert failure(said)[0] == "picture"
    assert failure(said)[1].split() == reason.split()


def test_a_picture_that_takes_too_long(webui, run):
    webui.slow = 1.5
    code, said = run("picture=1")
    assert (code, failure(said)) == (1, ("picture", "no picture within 1 s: timed out"))


def test_a_login_is_sent_from_its_file(webui, run):
    webui.login = "Basic " + base64.b64encode(b"painter:sesame").decode()
    Path(gates.LOGIN).write_text("painter:sesame\n")
    code, said = run(*ALL)
    assert code == 0
    assert "sesame" not in json.dumps(said)


def test_a_missing_login_is_no_answer(webui, run):
    webui.login = "Basic x"
    code, said = run("answers=1")
    assert (code, failure(said)) == (1, ("answers", "no answer within 1 s, last: HTTP 401"))


BUSY = (200, {"progress": 0.25, "state": {"job": "scripts_txt2img", "job_count": 1}})
IDLE = (200, {"progress": 0.0, "state": {"job": "", "job_count": 0}})


@pytest.fixture
def waiting(webui):
    """A WebUI with nothing to do, whose sleeps are remembered."""
    webui.answers["/sdapi/v1/progress"] = IDLE
    webui.answers["/internal/pending-tasks"] = (200, {"size": 0, "tasks": []})
    return webui


def slept(webui):
    return [seconds for path, seconds in webui.asked if not path]


def test_a_webui_without_jobs_is_idle(waiting, run):
    code, said = run("idle=0")
    assert (code, said[-1]["proven"]) == (0, True)
    assert slept(waiting) == []


def test_a_job_is_waited_for(waiting, run):
    waiting.answers["/sdapi/v1/progress"] = [BUSY, BUSY, IDLE]
    code, said = run("idle=600")
    assert code == 0
    assert [line["busy"] for line in said if "busy" in line] == ["scripts_txt2img, 25 % done"] * 2
    assert slept(waiting) == [2, 2]


def test_jobs_that_wait_in_the_pages_queue_are_waited_for(waiting, run):
    queue = [(200, {"size": 3, "tasks": ["a", "b", "c"]}), (200, {"size": 0})]
    waiting.answers["/internal/pending-tasks"] = queue
    code, said = run("idle=600")
    assert code == 0
    assert [line["busy"] for line in said if "busy" in line] == ["3 jobs wait"]


def test_a_job_without_a_name_is_one(waiting, run):
    waiting.answers["/sdapi/v1/progress"] = (200, {"progress": 0, "state": {"job_count": 2}})
    code, said = run("idle=0")
    assert (code, failure(said)) == (1, ("idle", "busy: a job, 0 % done"))


def test_a_job_that_goes_on_is_busy(waiting, run):
    waiting.answers["/sdapi/v1/progress"] = BUSY
    code, said = run("idle=0")
    assert (code, failure(said)) == (1, ("idle", "busy: scripts_txt2img, 25 % done"))


@pytest.mark.parametrize(
    "answer", [(404, {"detail": "Not Found"}), (500, b"<html>"), (200, []), (200, {"state": None})]
)
def test_without_an_api_only_the_queue_of_the_pages_is_asked(waiting, run, answer):
    waiting.answers["/sdapi/v1/progress"] = answer
    assert run("idle=0")[0] == 0
    waiting.answers["/internal/pending-tasks"] = (200, {"size": 1})
    assert failure(run("idle=0")[1]) == ("idle", "busy: 1 jobs wait")


def test_a_webui_that_does_not_answer_has_no_jobs(waiting, run):
    waiting.shutdown()
    waiting.server_close()
    assert run("idle=600")[0] == 0
    assert slept(waiting) == [0.5] * 6


def test_the_queue_is_asked_with_the_login(waiting, run):
    waiting.login = "Basic " + base64.b64encode(b"painter:sesame").decode()
    Path(gates.LOGIN).write_text("painter:sesame\n")
    waiting.answers["/sdapi/v1/progress"] = BUSY
    assert failure(run("idle=0")[1])[1].startswith("busy")


@pytest.fixture
def clock(webui, monkeypatch):
    """Pictures that take these seconds, by a clock of the test's own."""

    def install(*seconds):
        now, left = [0.0], list(seconds)
        asking = gates.ask

        def ask(path, timeout, body=None):
            found = asking(path, timeout, body)
            now[0] += left.pop(0)
            return found

        monkeypatch.setattr(gates, "ask", ask)
        monkeypatch.setattr(gates.time, "monotonic", lambda: now[0])

    return install


def test_the_benchmark_is_the_median_of_three_warm_pictures(webui, run, clock):
    clock(30, 4, 2.5, 3)
    code, said = run("benchmark=600")
    assert code == 0
    assert said[-1]["figures"] == {"seconds_per_picture": 3, "benchmark_seconds": 39.5}
    bodies = [json.loads(body) for path, body in webui.asked if path == "/sdapi/v1/txt2img"]
    assert bodies == [gates.LARGER] * 4


@pytest.mark.parametrize("answer", [(500, {"error": "OutOfMemoryError"}), (404, {})])
def test_no_benchmark_without_pictures(webui, run, answer):
    webui.answers["/sdapi/v1/txt2img"] = answer
    code, said = run("benchmark=2")
    assert code == 1
    assert failure(said)[0] == "benchmark"
    assert failure(said)[1].startswith(f"no pictures within 2 s: HTTP Error {answer[0]}")


def test_a_benchmark_that_takes_too_long(webui, run):
    webui.slow = 1.5
    code, said = run("benchmark=1")
    assert (code, failure(said)) == (1, ("benchmark", "no pictures within 1 s: timed out"))


def test_a_gate_that_is_unknown_fails(webui, run):
    code, said = run("dance=1")
    assert (code, failure(said)) == (1, ("dance", "'dance'"))


@pytest.fixture
def mounted(tmp_path):
    """What a container with a login has below /opt/gpuhost."""
    (tmp_path / "sitecustomize.py").write_bytes((INSIDE / "sitecustomize.py").read_bytes())
    (tmp_path / "login").write_text("painter:sesame\n")
    return tmp_path


def arguments(folder, program, *words):
    """What a program sees of its arguments when started with that folder on PYTHONPATH."""
    script = folder / program
    script.write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    command = [sys.executable, str(script), *words]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("program", ["webui.py", "launch.py"])
def test_the_webui_gets_its_logins(mounted, program):
    assert arguments(mounted, program, "--api", "--xformers") == [
        "--api", "--xformers", "--gradio-auth", "painter:sesame", "--api-auth", "painter:sesame"
    ]  # fmt: skip


def test_without_an_api_only_the_pages_get_a_login(mounted):
    assert arguments(mounted, "webui.py") == ["--gradio-auth", "painter:sesame"]


def test_any_other_program_is_left_alone(mounted):
    assert arguments(mounted, "gates.py", "--api") == ["--api"]
