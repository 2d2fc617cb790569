"""What a run says of itself afterwards: JSON, five lines, and how the JSON is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gpuhost import notify
from gpuhost.verdict import OUTCOMES, HostVerdict, Verdict, five_lines, short

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
UPDATED = HostVerdict("updated", OLD, NEW, "", 120, 21, 3_400_000_000)
BACK = HostVerdict("rolled back", OLD, OLD, "gate picture failed: no picture\nmore", 200, 41.4)
QUIET = HostVerdict("nothing to do", NEW, NEW)


def verdict(**hosts):
    return Verdict("home", "cycle", "2026-08-01T03:12:09+00:00", 840.04, hosts)


def test_the_document_holds_everything():
    document = verdict(b=BACK, a=UPDATED).document()
    assert list(document["hosts"]) == ["a", "b"]
    assert {key: document[key] for key in ("inventory", "what", "at", "seconds", "outcome")} == {
        "inventory": "home",
        "what": "cycle",
        "at": "2026-08-01T03:12:09+00:00",
        "seconds": 840.0,
        "outcome": "rolled back",
    }
    assert document["hosts"]["a"] == {
        "outcome": "updated", "from": OLD, "to": NEW, "reason": "", "seconds": 120,
        "downtime": 21, "pruned_bytes": 3_400_000_000,
    }  # fmt: skip


@pytest.mark.parametrize("position", range(len(OUTCOMES)))
def test_the_worst_host_is_the_runs_outcome(position):
    hosts = {str(one): HostVerdict(one) for one in OUTCOMES[position:]}
    assert verdict(**hosts).outcome == OUTCOMES[position]


def test_a_run_without_hosts_did_nothing():
    assert verdict().outcome == "nothing to do"


def test_a_quiet_night_is_one_line():
    assert five_lines(verdict(a=QUIET, b=QUIET)) == (
        "home cycle: nothing to do (2026-08-01 03:12 UTC, 14 min; 2 hosts: 2 nothing to do)"
    )


def test_the_worst_comes_first_and_hosts_of_one_story_share_a_line():
    hosts = {f"h{number}": UPDATED for number in range(6)}
    assert five_lines(verdict(**hosts, z=BACK)).splitlines() == [
        "home cycle: rolled back (2026-08-01 03:12 UTC, 14 min; 7 hosts: 1 rolled back,"
        " 6 updated, 20.4 GB freed)",
        "z: rolled back, aaaaaaaaaaaa -> aaaaaaaaaaaa, 41 s without an answer,"
        " gate picture failed: no picture",
        "h0, h1, h2 and 3 more: updated, aaaaaaaaaaaa -> bbbbbbbbbbbb, 21 s without an answer",
    ]


def test_many_stories_still_are_five_lines():
    hosts = {f"h{number}": HostVerdict("failed", reason=f"reason {number}") for number in range(9)}
    lines = five_lines(verdict(**hosts)).splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("and 6 more")


def test_a_line_has_an_end():
    lines = five_lines(verdict(a=HostVerdict("failed", reason="x" * 999))).splitlines()
    assert max(map(len, lines)) == 240


@pytest.mark.parametrize(
    ("digest", "text"),
    [(OLD, "a" * 12), (f"app@{OLD}", "a" * 12), ("", "nothing"), ("v1", "v1")],
)
def test_digests_are_short(digest, text):
    assert short(digest) == text


class Server(HTTPServer):
    got: list[Any]
    answers: list[int]


class Answering(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = Server(("127.0.0.1", 0), Answering)
    found.got, found.answers = [], []
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


DOCUMENT = verdict(a=UPDATED).document()


def post(server, *answers):
    server.answers.extend(answers)
    slept: list[float] = []
    url = f"http://127.0.0.1:{server.server_port}/topic-that-is-secret"
    return notify.send(url, DOCUMENT, slept.append), slept


def test_a_url_gets_it_by_post(server):
    assert post(server) == ("", [])
    assert server.got == [("/topic-that-is-secret", "application/json", DOCUMENT)]


def test_a_server_that_is_busy_is_asked_again(server):
    assert post(server, 503, 429) == ("", [2.0, 4.0])
    assert len(server.got) == 3


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (404, 1), (302, 1)])
def test_a_refusal_is_one_line_without_the_path(status, tries, server):
    line, _ = post(server, *[status] * 3)
    assert line == f"cycle_notify: 127.0.0.1 did not take the verdict: it answered {status}"
    assert len(server.got) == tries


def test_no_connection_is_one_line_without_the_path():
    line = notify.send("http://127.0.0.1:1/secret", DOCUMENT, lambda _: None)
    assert line == "cycle_notify: 127.0.0.1 did not take the verdict: ConnectionError"


def test_a_command_gets_it_on_stdin(tmp_path):
    path = tmp_path / "it's here"
    assert notify.send(f'sh -c \'cat >"$1"\' - "{path}"', DOCUMENT) == ""
    assert json.loads(path.read_text()) == DOCUMENT


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("sh -c 'echo no route >&2; exit 3'", "sh failed with exit code 3: no route"),
        ("false", "false failed with exit code 1"),
        ("/no/such/program x", "/no/such/program could not be started: No such file or directory"),
        ("true", ""),
    ],
)
def test_a_command_that_fails_is_one_line(command, line):
    assert notify.send(command, DOCUMENT) == (line and f"cycle_notify: {line}")


def test_a_command_that_hangs_is_one_line(monkeypatch):
    monkeypatch.setattr(notify, "COMMAND_TIMEOUT", 0.2)
    assert notify.send("sleep 5", DOCUMENT) == "cycle_notify: sleep did not end in 0.2 s"


def test_nobody_is_told_where_nobody_is_named():
    assert notify.send("", DOCUMENT) == ""
