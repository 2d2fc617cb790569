"""The pull, against an engine's socket that gives recorded answers."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from types import SimpleNamespace

import pytest

from gpuhost.hostside import docker, pulling
from gpuhost.hostside.pulling import PullFailed
from gpuhost.hostside.request import Request
from tests.hostside.world import World

SECRET = "hunter2"


def answer(*events, status="200 OK", cut=False):
    """A chunked answer; cut off in the middle of its last event where wanted."""
    parts = [f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for event in events:
        text = json.dumps(event) + "\r\n"
        parts.append(f"{len(text):x}\r\n{text}\r\n")
    whole = "".join(parts).encode()
    return whole[:-6] if cut else whole + b"0\r\n\r\n"


def plain(text, status="200 OK"):
    """An answer that ends with the connection."""
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{text}".encode()


LAYERS = [
    {"status": "Pulling from app", "id": "v1"},
    {"status": "Downloading", "id": "aa", "progressDetail": {"current": 100, "total": 500}},
    {"status": "Downloading", "id": "bb", "progressDetail": {"current": 50, "total": 60}},
    {"status": "Downloading", "id": "aa", "progressDetail": {"current": 500, "total": 500}},
    {"status": "Download complete", "id": "aa"},
    {"status": "Extracting", "id": "aa", "progressDetail": {"current": 9, "total": 9}},
]
GOOD = answer(*LAYERS)


class Engine(socketserver.ThreadingUnixStreamServer):
    """Gives its answers one after another; the image is here after one that is whole."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Handler)
        self.answers: list[bytes] = []
        self.asked: list[str] = []
        self.here = False


class Handler(socketserver.StreamRequestHandler):
    server: Engine

    def handle(self):
        head = ""
        while not head.endswith("\r\n\r\n"):
            head += self.rfile.readline().decode()
        self.server.asked.append(head)
        given = self.server.answers.pop(0)
        self.server.here = given == GOOD
        self.wfile.write(given)


class Pull:
    """One pull with its surroundings."""

    def __init__(self, engine, folder):
        self.engine = engine
        self.release = World(folder).release("a")
        self.request = Request("a")
        self.shown: list[tuple[int, str]] = []
        self.paused: list[float] = []
        self.tagged: list[tuple[str, ...]] = []
        self.now = 0.0

    def monotonic(self):
        self.now += 0.6
        return self.now

    def __call__(self, *answers):
        self.engine.answers = list(answers)
        pulling.pull(self.release, self.request, lambda *words: self.shown.append(words))
        assert self.engine.answers == []


@pytest.fixture
def pull(monkeypatch, tmp_path):
    with Engine(tmp_path / "docker.sock") as engine:
        threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01}).start()
        found = Pull(engine, tmp_path)
        clock = SimpleNamespace(sleep=found.paused.append, monotonic=found.monotonic)
        monkeypatch.setattr(pulling, "time", clock)
        monkeypatch.setattr(docker, "SOCKET", str(tmp_path / "docker.sock"))
        monkeypatch.setattr(docker, "wait", lambda *_: None)
        monkeypatch.setattr(docker, "inspect", lambda *_: {"Id": "x"} if engine.here else None)
        monkeypatch.setattr(docker, "docker", lambda *words, **_: found.tagged.append(words))
        monkeypatch.setattr(pulling, "check_room", lambda *_: None)
        yield found
        engine.shutdown()


def test_bytes_are_counted_over_all_layers(pull):
    pull(GOOD)
    assert pull.shown[-1] == (550, "pulled")
    assert [count for count, _ in pull.shown] == sorted(count for count, _ in pull.shown)
    assert pull.paused == []


def test_the_image_is_asked_for_by_its_digest_and_tagged_to_be_kept(pull):
    pull(GOOD)
    (head,) = pull.engine.asked
    assert head.startswith(
        "POST /images/create?fromImage=registry.example%2Fapp&tag=sha256:aaaaaaaa"
    )
    assert pull.tagged == [("tag", pull.release.image, pull.release.keep_tag)]


def test_an_image_that_is_here_is_not_asked_for(pull):
    pull.engine.here = True
    pull()
    assert pull.engine.asked == []
    assert pull.tagged


PASSING = {
    "too many requests": answer({"error": "toomanyrequests: rate limit, see https://x.example"}),
    "a server that fails": answer({"error": "received unexpected HTTP status: 503"}),
    "a network that fails": answer(LAYERS[1], {"error": "read tcp: connection reset by peer"}),
    "an engine that fails": plain('{"message": "toomanyrequests: slow down"}', "500 Internal"),
    "an engine that says nothing": plain("", "502 Bad Gateway"),
    "a stream that is cut off": answer(*LAYERS, cut=True),
    "a line that is cut off": plain('{"status": "Downloading", "id": '),
    "half a greeting": b"HTTP/1.1 200",
    "nothing": b"",
    "words that are no event": plain("[1]\n3\n"),
    "an end without an image": answer(*LAYERS[:2]),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(pull, name):
    pull(PASSING[name], PASSING[name], GOOD)
    assert pull.paused == [2, 4]
    waiting = [line for _, line in pull.shown if "; try " in line]
    assert [line.rpartition("; ")[2] for line in waiting] == [
        "try 2 of 6 in 2 s",
        "try 3 of 6 in 4 s",
    ]


def test_it_is_given_up_after_some_tries(pull):
    text = "toomanyrequests: slow down"
    with pytest.raises(PullFailed, match=f"^registry.example/app: {text}$"):
        pull(*[answer({"error": text})] * 6)
    assert pull.paused == [2, 4, 8, 16, 32]
    assert pull.tagged == []


@pytest.mark.parametrize(
    "said",
    [
        "manifest unknown: manifest unknown",
        "unauthorized: authentication required",
        "pull access denied for app, repository does not exist or may require 'docker login'",
        "write /var/lib/docker/tmp/x: no space left on device",
        "no matching manifest for linux/arm64 in the manifest list entries",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
)
@pytest.mark.parametrize("way", ["event", "answer"])
def test_what_lasts_is_not_tried_again(pull, said, way):
    given = (
        answer({"error": said})
        if way == "event"
        else plain(json.dumps({"message": said}), "404 Not Found")
    )
    with pytest.raises(PullFailed) as caught:
        pull(given)
    assert str(caught.value) == f"registry.example/app: {said}"
    assert pull.paused == []


def test_an_engine_that_falls_silent_is_asked_anew(pull, monkeypatch):
    monkeypatch.setattr(pulling, "STALLED", 0.05)
    held = threading.Event()
    handle = Handler.handle

    def silent(self):
        if not self.server.asked:
            self.server.asked.append("")
            held.wait(5)
        else:
            handle(self)

    monkeypatch.setattr(Handler, "handle", silent)
    pull(GOOD)
    held.set()
    assert pull.paused == [2]
    assert "the engine went away (timed out)" in pull.shown[0][1]


def config(folder, **auths):
    pair = base64.b64encode(f"puller:{SECRET}".encode()).decode()
    document = {"auths": {name.replace("_", "."): {"auth": pair} for name in auths}}
    (folder / "config.json").write_text(json.dumps(document))
    return str(folder)


def sent(pull):
    """The login that the engine got, or None."""
    rows = [row.partition(": ") for row in pull.engine.asked[-1].splitlines()]
    found = [value for key, _, value in rows if key == "X-Registry-Auth"]
    return json.loads(base64.urlsafe_b64decode(found[0])) if found else None


def test_a_login_goes_to_the_engine_and_nowhere_else(pull, tmp_path, capfd):
    pull.request = Request("a", client=config(tmp_path, registry_example=1))
    failing = answer({"error": "received unexpected HTTP status: 500"})
    with pytest.raises(PullFailed) as caught:
        pull(*[failing] * 6)
    assert sent(pull) == {
        "username": "puller", "password": SECRET, "serveraddress": "registry.example"
    }  # fmt: skip
    said = [str(caught.value), repr(pull.shown), repr(pull.tagged), *capfd.readouterr()]
    assert not [text for text in said if SECRET in text or "X-Registry-Auth" in text]


def test_no_login_is_sent_where_there_is_none(pull, tmp_path):
    for client in ("", str(tmp_path / "nowhere"), config(tmp_path, other_example=1)):
        pull.engine.here = False
        pull.request = Request("a", client=client)
        pull(GOOD)
        assert sent(pull) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": {"registry.example": {"auth": "%%"}}}'])
def test_a_config_that_cannot_be_read_is_no_login(pull, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    pull.request = Request("a", client=str(tmp_path))
    pull(GOOD)
    assert sent(pull) is None


@pytest.mark.parametrize(
    ("repository", "key"),
    [
        ("docker.io/yanwk/app", "https://index.docker.io/v1/"),
        ("yanwk/app", "https://index.docker.io/v1/"),
        ("localhost/app", "localhost"),
        ("registry.example:5000/deep/app", "registry.example:5000"),
    ],
)
def test_a_login_is_found_by_its_registry(tmp_path, repository, key):
    pair = base64.b64encode(b"a:b:c").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": pair}}}))
    found = json.loads(base64.urlsafe_b64decode(pulling._login(str(tmp_path), repository)))
    assert found == {"username": "a", "password": "b:c", "serveraddress": key}
