"""Images made without an engine, and their way into a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.lab.oci import LIST_TYPE, Entry, Image, Index, PushError, Registry, layer_of
from tests.lab.standins.webui import foreign, noise

ENTRIES = [Entry("srv/app/run", b"#!/bin/sh\n", 0o755), Entry("srv", mode=0o755, owner=1000)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class StoreServer(ThreadingHTTPServer):
    """Blobs and manifests by path."""

    content: dict[str, bytes]
    uploads = 0
    accepts = True


class Store(BaseHTTPRequestHandler):
    """As much of a registry as a push needs."""

    server: StoreServer

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_HEAD(self) -> None:
        found = self.server.content.get(self.path)
        digest = f"sha256:{hashlib.sha256(found or b'').hexdigest()}"
        self.answer(200 if found else 404, **{"Docker-Content-Digest": digest})

    def do_POST(self) -> None:
        self.server.uploads += 1
        self.answer(202 if self.server.accepts else 507, Location="/upload/1?state=x")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address = urlsplit(self.path)
        if address.path == "/upload/1":
            digest = parse_qs(address.query)["digest"][0]
            assert digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.content[f"/v2/app/blobs/{digest}"] = body
        else:
            self.server.content[address.path] = body
        self.answer(201)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store():
    server = StoreServer(("127.0.0.1", 0), Store)
    server.content = {}
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(store):
    return Registry(f"http://127.0.0.1:{store.server_port}", "/dev/null", "lab", "secret")


def test_layer_is_the_same_whatever_the_order(tmp_path, monkeypatch):
    once = layer_of(ENTRIES)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    again = layer_of(reversed(ENTRIES))
    assert (once.digest, once.diff_id, once.size) == (again.digest, again.diff_id, again.size)
    assert once.path != again.path


def test_digests_of_a_layer(own_cache):
    layer = layer_of(ENTRIES)
    packed = layer.path.read_bytes()
    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"
    assert layer.size == len(packed)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        folder, file = tar.getmembers()
    assert (folder.name, folder.isdir(), folder.uid, folder.mode) == ("srv", True, 1000, 0o755)
    assert (file.name, file.size, file.mode, file.mtime) == ("srv/app/run", 10, 0o755, 1790000000)


def test_layer_of_the_cache_is_not_made_again():
    layer = layer_of(ENTRIES)
    before = layer.path.stat().st_mtime_ns
    assert layer_of(ENTRIES).path.stat().st_mtime_ns == before


def test_manifest_and_config_name_the_same_layers():
    layer = layer_of(ENTRIES)
    image = Image((layer,), {"Cmd": ["true"], "Labels": {"a": "b"}})
    config, manifest = json.loads(image.config_json()), json.loads(image.manifest_json())
    assert config["rootfs"]["diff_ids"] == [layer.diff_id]
    assert config["config"]["Labels"] == {"a": "b"}
    assert manifest["layers"][0]["digest"] == layer.digest
    digest = f"sha256:{hashlib.sha256(image.config_json()).hexdigest()}"
    assert manifest["config"]["digest"] == digest


def test_push_uploads_what_is_missing_and_nothing_twice(store, registry):
    layer = layer_of(ENTRIES)
    assert registry.digest("app", "v1") is None
    digest = registry.push(Image((layer,), {"Cmd": ["a"]}), "app", "v1", "latest")
    assert registry.digest("app", "v1") == registry.digest("app", "latest") == digest
    assert store.uploads == 2
    registry.push(Image((layer,), {"Cmd": ["b"]}), "app", "v2")
    assert store.uploads == 3


def test_push_that_is_refused_says_where(store, registry):
    store.accepts = False
    with pytest.raises(PushError, match=r"registry: app: upload of sha256:\w+: 507"):
        registry.push(Image((layer_of(ENTRIES),)), "app", "v1")


def test_a_list_names_its_image_and_platform(store, registry):
    image = Image((layer_of(ENTRIES),), built_for="arm64")
    digest = registry.push(Index(image), "app", "v1")
    document = json.loads(store.content["/v2/app/manifests/v1"])
    assert (document["mediaType"], registry.digest("app", "v1")) == (LIST_TYPE, digest)
    assert document["manifests"][0]["platform"] == {"architecture": "arm64", "os": "linux"}
    assert store.content[f"/v2/app/manifests/{image.digest}"] == image.manifest_json()
    assert json.loads(image.config_json())["architecture"] == "arm64"


def test_noise_is_of_its_size_and_the_same_again(tmp_path, monkeypatch):
    once = noise.layer("a", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    again, other = noise.layer("a", 3), noise.layer("b", 3)
    assert once.digest == again.digest != other.digest
    with tarfile.open(once.path) as tar:
        assert [(one.name, one.size) for one in tar] == [("opt/a.bin", 3 << 20)]
    assert 3 << 20 < once.size < (3 << 20) + 10_000


@pytest.mark.parametrize("built_for", ["amd64", "arm64"])
def test_a_foreign_program_runs_where_it_was_built_for_and_nowhere_else(built_for, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(foreign.program(built_for))
    path.chmod(0o755)
    if built_for == foreign.other_architecture():
        with pytest.raises(OSError, match="Exec format error"):
            subprocess.run([str(path)])
    else:
        assert subprocess.run([str(path)]).returncode == 0
