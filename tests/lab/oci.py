"""Container images without an engine: layers from files, pushed by a registry's HTTP API v2."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import requests

from tests.lab.places import cache, recipe_hash, write_atomically

EPOCH = 1790000000
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LIST_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
CHUNK = 1 << 20


class PushError(Exception):
    """The registry did not take what was pushed."""


@dataclass(frozen=True)
class Entry:
    """A file (or, without content, a folder) of a layer, by its absolute path."""

    path: str
    content: bytes | None = None
    mode: int = 0o644
    owner: int = 0


@dataclass(frozen=True)
class Layer:
    """A gzipped tar in the cache: its own digest, its size, and the digest of the bare tar."""

    path: Path
    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True)
class Image:
    """Layers, bottom first, and what the engine's `Config` says: Env, Cmd, Labels and so on."""

    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    created: str = "2026-09-21T13:33:20Z"
    built_for: str = ""
    """An architecture; empty is this machine's."""

    def config_json(self) -> bytes:
        """The config blob."""
        document = {
            "architecture": self.built_for or architecture(),
            "os": "linux",
            "created": self.created,
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created": self.created, "created_by": "gpuhost lab"}] * len(self.layers),
        }
        return json.dumps(document, sort_keys=True).encode()

    def manifest_json(self) -> bytes:
        """The manifest, schema 2."""
        config = self.config_json()
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "size": len(config),
                "digest": sha256(config),
            },
            "layers": [
                {"mediaType": LAYER_TYPE, "size": layer.size, "digest": layer.digest}
                for layer in self.layers
            ],
        }
        return json.dumps(document, indent=3).encode()

    @property
    def digest(self) -> str:
        """The digest by which the image is pulled."""
        return sha256(self.manifest_json())


@dataclass(frozen=True)
class Index:
    """A manifest list of one image, as multi-platform builds push it."""

    image: Image

    def manifest_json(self) -> bytes:
        """The list."""
        manifest = self.image.manifest_json()
        platform = {"architecture": self.image.built_for or architecture(), "os": "linux"}
        entry = {
            "mediaType": MANIFEST_TYPE,
            "size": len(manifest),
            "digest": sha256(manifest),
            "platform": platform,
        }
        document = {"schemaVersion": 2, "mediaType": LIST_TYPE, "manifests": [entry]}
        return json.dumps(document, indent=3).encode()

    @property
    def digest(self) -> str:
        """The digest of the list itself."""
        return sha256(self.manifest_json())


def architecture() -> str:
    """This machine's architecture by the name that images use."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def sha256(data: bytes) -> str:
    """A digest in the form that registries use."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer_of(entries: Iterable[Entry]) -> Layer:
    """A layer of these entries, sorted and with one fixed time, whatever order they come in."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.path):
            tar.addfile(_header(entry), io.BytesIO(entry.content or b""))
    buffer.seek(0)
    return layer_of_tar(buffer, recipe_hash(buffer.getvalue()))


def layer_of_tar(tar: IO[bytes], key: str) -> Layer:
    """The layer of a tar stream; `key` names its content, and a layer of that key is kept."""
    return layer_of_chunks(_chunks(tar), key)


def layer_of_chunks(tar: Iterable[bytes], key: str, level: int = 6) -> Layer:
    """The same of a tar in pieces, which are asked for only where the cache has no such layer;
    `level` is gzip's, 0 stores.
    """
    folder = cache() / "layers"
    packed, about = folder / f"{key}.tar.gz", folder / f"{key}.json"
    if not (packed.exists() and about.exists()):
        _pack(tar, packed, about, level)
    facts = json.loads(about.read_text())
    return Layer(packed, facts["digest"], facts["size"], facts["diff_id"])


class Registry:
    """One registry, by its endpoint `https://HOST:PORT`, trusted by a CA file (PEM)."""

    def __init__(self, endpoint: str, ca: Path | str, user: str, password: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(ca)
        self.session.auth = (user, password)

    def push(self, image: Image | Index, repository: str, *tags: str) -> str:
        """Upload what the registry lacks, tag it, and return the manifest's digest."""
        if isinstance(image, Index):
            self.push(image.image, repository, image.image.digest)
        else:
            self._push_blobs(image, repository)
        for tag in tags:
            self._tag(repository, tag, image.manifest_json())
        return image.digest

    def _push_blobs(self, image: Image, repository: str) -> None:
        for layer in image.layers:
            if not self._has(repository, layer.digest):
                with layer.path.open("rb") as stream:
                    self._upload(repository, layer.digest, stream)
        config = image.config_json()
        if not self._has(repository, sha256(config)):
            self._upload(repository, sha256(config), io.BytesIO(config))

    def digest(self, repository: str, tag: str) -> str | None:
        """The digest that a tag has now, None when there is none."""
        path = f"/v2/{repository}/manifests/{tag}"
        answer = self._call("HEAD", path, headers={"Accept": f"{MANIFEST_TYPE}, {LIST_TYPE}"})
        return answer.headers.get("Docker-Content-Digest") if answer.ok else None

    def _has(self, repository: str, digest: str) -> bool:
        return self._call("HEAD", f"/v2/{repository}/blobs/{digest}").ok

    def _upload(self, repository: str, digest: str, stream: IO[bytes]) -> None:
        begun = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        _expect(begun, 202, f"{repository}: upload of {digest}")
        target = requests.compat.urljoin(begun.url, begun.headers["Location"])
        done = self.session.put(
            target,
            params={"digest": digest},
            data=stream,
            headers={"Content-Type": "application/octet-stream"},
            timeout=300,
        )
        _expect(done, 201, f"{repository}: upload of {digest}")

    def _tag(self, repository: str, tag: str, manifest: bytes) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        kind = json.loads(manifest)["mediaType"]
        done = self._call("PUT", path, data=manifest, headers={"Content-Type": kind})
        _expect(done, 201, f"{repository}:{tag}: manifest")

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.endpoint + path, timeout=60, **options)


def _expect(answer: requests.Response, status: int, what: str) -> None:
    if answer.status_code != status:
        raise PushError(f"registry: {what}: {answer.status_code} {answer.text[:200]!r}")


def _header(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mtime = EPOCH
    info.uid = info.gid = entry.owner
    info.mode = entry.mode
    if entry.content is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(entry.content)
    return info


def _pack(tar: Iterable[bytes], packed: Path, about: Path, level: int) -> None:
    packed.parent.mkdir(parents=True, exist_ok=True)
    part = packed.with_name(f".{packed.name}.{os.getpid()}")
    bare = hashlib.sha256()
    with part.open("wb") as file, gzip.GzipFile("", "wb", level, file, mtime=0) as stream:
        for chunk in tar:
            bare.update(chunk)
            stream.write(chunk)
    facts = {
        "digest": _digest_of(part),
        "size": part.stat().st_size,
        "diff_id": f"sha256:{bare.hexdigest()}",
    }
    part.replace(packed)
    write_atomically(about, json.dumps(facts))


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
