"""Where the program meets other programs: docker, nvidia-smi, and the gates in a container."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from gpuhost.hostside import checking, docker, gating, inside
from gpuhost.hostside.docker import DockerError


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins on PATH; what they were told is in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(**bodies):
        for name, body in bodies.items():
            path = folder / name.replace("_", "-")
            path.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n{body}\n')
            path.chmod(0o755)
        return tmp_path / "calls"

    return install


@pytest.fixture
def engine(monkeypatch):
    """An engine that is up or down, and nobody who waits for it."""
    state = SimpleNamespace(up=[True], waited=0, now=0.0)

    def sleep(seconds):
        state.waited, state.now = state.waited + 1, state.now + seconds

    monkeypatch.setattr(
        docker, "alive", lambda *_: state.up.pop(0) if state.up[1:] else state.up[0]
    )
    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: state.now)
    monkeypatch.setattr(docker, "time", clock)
    return state


def test_what_docker_prints_is_the_answer(programs, engine):
    programs(docker='echo "a b"')
    assert docker.docker("ps", "-a") == "a b\n"


def test_a_failure_is_its_last_line(programs, engine):
    calls = programs(docker="echo first >&2; echo 'Error: no space' >&2; echo >&2; exit 1")
    with pytest.raises(DockerError, match=r"^docker start: Error: no space$"):
        docker.docker("start", "x")
    assert calls.read_text() == "start x\n"


def test_a_failure_without_a_word_is_its_exit_code(programs, engine):
    programs(docker="exit 125")
    with pytest.raises(DockerError, match=r"^docker run: exit code 125$"):
        docker.docker("run")


def test_an_engine_that_went_away_is_waited_for_and_asked_again(programs, engine, tmp_path):
    engine.up = [False, False, False, True]
    calls = programs(
        docker=f"[ -e {tmp_path}/once ] && echo fine && exit; touch {tmp_path}/once\n"
        "echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1"
    )
    assert docker.docker("ps") == "fine\n"
    assert (calls.read_text(), engine.waited) == ("ps\nps\n", 2)


def test_an_engine_that_stays_away_is_given_up(programs, engine):
    engine.up = [False]
    programs(docker="echo 'error during connect' >&2; exit 1")
    with pytest.raises(DockerError, match=r"^the engine did not answer for 300 s$"):
        docker.docker("ps")


def test_a_command_that_hangs_is_given_up(programs, engine):
    programs(docker="exec sleep 60")
    with pytest.raises(DockerError, match=r"^docker stop: no end within 0 s$"):
        docker.docker("stop", timeout=0.2)


@pytest.mark.parametrize("said", ["Error: No such container: x", "Error: network x not found"])
def test_what_is_not_there_is_none(programs, engine, said):
    programs(docker=f"echo []; echo '{said}' >&2; exit 1")
    assert docker.inspect("container", "x") is None


def test_what_cannot_be_asked_is_an_error(programs, engine):
    programs(docker="echo 'permission denied' >&2; exit 1")
    with pytest.raises(DockerError, match="permission denied"):
        docker.inspect("container", "x")


def test_the_data_root(programs, engine):
    programs(docker="echo /data/docker")
    assert docker.data_root() == "/data/docker"


def test_no_nvidia_smi_is_no_traceback(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(checking.Unfit, match="nvidia-smi -L fails on the host: "):
        checking.gpus()
    assert checking.compute_processes() == set()


def test_processes_that_hold_memory(programs):
    calls = programs(nvidia_smi="printf '123\\n45\\n[N/A]\\n'")
    assert checking.compute_processes() == {123, 45}
    assert calls.read_text() == "--query-compute-apps=pid --format=csv,noheader,nounits\n"


def asked(limit=30.0):
    heard: list[dict[str, object]] = []
    return inside.ask("webui", {"answers": 60, "gpu": 5}, heard.append, limit), heard


PASSED = [{"gate": "gpu", "state": "passed"}, {"proven": True, "figures": {"x": 1}}]


def said(*lines):
    return "".join(
        f"echo '{line if isinstance(line, str) else json.dumps(line)}'\n" for line in lines
    )


def test_gates_are_fed_to_the_containers_python(programs, tmp_path):
    calls = programs(docker=f"cat >{tmp_path}/fed\n{said(*PASSED)}")
    answer, heard = asked()
    assert (answer.passed, answer.failed, answer.figures) == (True, "", {"x": 1})
    assert heard == PASSED
    assert (tmp_path / "fed").read_bytes() == inside.program()
    assert calls.read_text() == "exec -i webui python3 -u - answers=60 gpu=5\n"


def test_a_gate_that_fails_says_which_and_why(programs):
    failed = {"gate": "gpu", "state": "failed", "reason": "none"}
    programs(docker=f"cat >/dev/null\n{said('noise', failed)}exit 1")
    answer, _ = asked()
    assert (answer.passed, answer.failed, answer.reason, answer.said) == (
        False, "gpu", "none", "noise"
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "echo 'Error response from daemon: container is not running'; exit 1",
        f"cat >/dev/null; {said(*PASSED)} exit 1",
        "cat >/dev/null; echo '[]'; echo 3; exit 0",
        "cat >/dev/null; kill -9 $$",
    ],
)
def test_what_does_not_end_well_has_not_passed(programs, body):
    programs(docker=body)
    answer, _ = asked()
    assert (answer.passed, answer.failed) == (False, "")


def test_gates_that_hang_are_killed(programs):
    programs(docker="echo started; exec sleep 60")
    answer, _ = asked(0.3)
    assert (answer.passed, answer.said) == (False, "started")


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/internal/ping" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_webui_answers_at_its_published_address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        port = server.server_port
        assert gating.answers("127.0.0.1", port)
        assert gating.answers("0.0.0.0", port)
        server.shutdown()
    assert not gating.answers("127.0.0.1", port)


@pytest.mark.parametrize("said", [b"HTTP/1.0 200 OK\r\n\r\nOK", b"HTTP/1.0 500 No\r\n\r\n", b""])
def test_an_engine_that_answers_is_alive(tmp_path, monkeypatch, said):
    import socketserver

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(said)

    monkeypatch.setattr(docker, "SOCKET", str(tmp_path / "docker.sock"))
    assert not docker.alive()
    with socketserver.UnixStreamServer(docker.SOCKET, Handler) as server:
        threading.Thread(target=server.handle_request).start()
        assert docker.alive() is (b" 200 " in said)
