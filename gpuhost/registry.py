"""What an image reference means now: its digest, and what its config says, before any layer."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import strict_json
from .reference import DOCKER_HUB, Reference, ReferenceError_
from .registry_client import Client, Login, RegistryError, is_loopback
from .registry_http import Reply, Transport

__all__ = ["Reference", "ReferenceError_", "Registry", "RegistryError", "ResolvedImage"]

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LIMIT = 8 << 20
"""Most bytes of a manifest or a config; the engine itself takes manifests up to 4 MiB."""


@dataclass(frozen=True)
class ResolvedImage:
    """One image for one platform.

    `digest` names its manifest, never an index; `size` is compressed bytes, the sum of its layers;
    `created` is ISO 8601 as in the config; `platform` is ``os/architecture`` as in the config.
    """

    reference: Reference
    digest: str
    platform: str
    created: str
    size: int
    layers: int
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """Reads from one registry, with one login and one private CA; have another for another.

    `endpoint` stands for the address that a reference names. `mirrors` are asked first and, as the
    engine's registry-mirrors, only for Docker Hub; they never see the login. Without an endpoint
    a registry on loopback is asked by http, any other by https. Raises `RegistryError` for an
    unusable endpoint or CA.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        user: str | None = None,
        password: str | None = None,
        ca: Path | None = None,
        timeout: float = 30.0,
        mirrors: Sequence[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._login = Login(user, password or "") if user else None
        self._transport = Transport(_readable(ca), timeout, sleep=sleep)
        self._endpoint = Client(endpoint, self._login, self._transport) if endpoint else None
        once = Transport(ca, timeout, tries=1)
        self._mirrors = [Client(mirror, None, once) for mirror in mirrors]
        self._registries: dict[str, Client] = {}

    def __repr__(self) -> str:
        return f"Registry({self._endpoint or 'as the reference says'})"

    def resolve(self, reference: Reference, platform: str = "linux/amd64") -> ResolvedImage:
        """Ask what a reference means for a platform, without pulling a layer.

        Raises `RegistryError` where the registry's answer is none, or cannot be trusted.
        """
        for mirror in self._mirrors if reference.registry == DOCKER_HUB else ():
            try:
                return _Question(mirror, reference, platform).answer()
            except RegistryError:
                continue
        return _Question(self._registry(reference.registry), reference, platform).answer()

    def _registry(self, name: str) -> Client:
        if self._endpoint:
            return self._endpoint
        if name not in self._registries:
            self._registries[name] = Client(_address(name), self._login, self._transport)
        return self._registries[name]


@dataclass(frozen=True)
class _Question:
    client: Client
    reference: Reference
    platform: str

    def answer(self) -> ResolvedImage:
        try:
            return self._answer()
        except RegistryError as error:
            raise RegistryError(f"{self.reference}: {error}") from None

    def _answer(self) -> ResolvedImage:
        digest, manifest = self._manifest(self.reference.digest or self._digest_of_tag())
        described = manifest.get("config")
        if not isinstance(described, dict) or described.get("mediaType") not in CONFIGS:
            kind = described.get("mediaType") if isinstance(described, dict) else described
            raise _odd(digest, f"should be a container image, got one with config {kind!r}")
        config = self._config(str(described.get("digest")))
        layers = manifest.get("layers")
        if not isinstance(layers, list) or not all(_sized(layer) for layer in layers):
            raise _odd(digest, "has layers without a size")
        inner = config.get("config")
        inner = inner if isinstance(inner, dict) else {}
        return ResolvedImage(
            self.reference, digest, _platform(config), _text(config.get("created")),
            sum(layer["size"] for layer in layers), len(layers),
            _labels(inner.get("Labels")), _env(inner.get("Env")),
        )  # fmt: skip

    def _digest_of_tag(self) -> str:
        reply = self._get("HEAD", f"manifests/{self.reference.tag}", (*MANIFESTS, *INDEXES))
        digest = reply.headers.get("docker-content-digest")
        if digest is None:
            reply = self._get("GET", f"manifests/{self.reference.tag}", (*MANIFESTS, *INDEXES))
            digest = f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        return self._usable(digest, f"tag {self.reference.tag!r}")

    def _manifest(self, digest: str) -> tuple[str, dict[str, Any]]:
        for _ in range(3):
            manifest = self._json(f"manifests/{digest}", digest, (*MANIFESTS, *INDEXES))
            if not isinstance(manifest.get("manifests"), list):
                return digest, manifest
            digest = self._choose(manifest["manifests"], digest)
        raise _odd(digest, "is an index of indexes of indexes")

    def _choose(self, entries: list[Any], index: str) -> str:
        found = [entry for entry in entries if isinstance(entry, dict)]
        offered = [(_offered(entry.get("platform")), entry.get("digest")) for entry in found]
        for exact in (True, False):
            for name, digest in offered:
                same = name == self.platform or (not exact and _alike(name, self.platform))
                if same and isinstance(digest, str):
                    return self._usable(digest, index)
        known = ", ".join(sorted({name for name, _ in offered if "unknown" not in name}))
        raise RegistryError(f"it is not built for {self.platform}, only for {known or 'nothing'}")

    def _usable(self, digest: str, where: str) -> str:
        try:
            self.reference.at(digest)
        except ReferenceError_:
            raise _odd(where, f"has no usable digest, got {digest!r}") from None
        return digest

    def _config(self, digest: str) -> dict[str, Any]:
        self._usable(digest, "the manifest")
        return self._json(f"blobs/{digest}", digest, ())

    def _json(self, path: str, digest: str, accept: tuple[str, ...]) -> dict[str, Any]:
        body = self._get("GET", path, accept).body
        algorithm, _, wanted = digest.partition(":")
        found = hashlib.new(algorithm, body).hexdigest()
        if found != wanted:
            raise _odd(
                digest, f"came with other content, {algorithm}:{found}; is a proxy in between?"
            )
        try:
            document = strict_json.parse(body)
        except strict_json.JsonError as error:
            raise _odd(digest, f"is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise _odd(digest, f"should be an object, got {strict_json.short(document)}")
        return document

    def _get(self, method: str, path: str, accept: tuple[str, ...]) -> Reply:
        wanted = ", ".join(accept) or "*/*"
        return self.client.ask(method, self.reference.repository, path, wanted, LIMIT)


def _address(registry: str) -> str:
    if registry == DOCKER_HUB:
        return "https://registry-1.docker.io"
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    return f"{'http' if is_loopback(host) else 'https'}://{registry}"


def _readable(ca: Path | None) -> Path | None:
    try:
        ssl.create_default_context(cafile=ca) if ca else None
    except OSError as error:
        found = error.strerror or str(error)
        raise RegistryError(f"registry CA {str(ca)!r}: should be PEM, got {found}") from None
    return ca


def _odd(what: str, found: str) -> RegistryError:
    return RegistryError(f"{what}: {found}")


def _offered(platform: Any) -> str:
    names = platform if isinstance(platform, dict) else {}
    parts = [names.get("os") or "unknown", names.get("architecture") or "unknown"]
    return "/".join(str(part) for part in [*parts, *filter(None, [names.get("variant")])])


def _alike(name: str, wanted: str) -> bool:
    """Whether they differ in that only one of them names a variant."""
    shorter, longer = sorted((name.split("/"), wanted.split("/")), key=len)
    return len(shorter) == 2 and longer[:2] == shorter


def _platform(config: dict[str, Any]) -> str:
    names = [_text(config.get(key)) for key in ("os", "architecture")]
    return "/".join(names) if all(names) else ""


def _sized(layer: Any) -> bool:
    size = layer.get("size") if isinstance(layer, dict) else None
    return isinstance(size, int) and size >= 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _labels(found: Any) -> dict[str, str]:
    labels = found if isinstance(found, dict) else {}
    return {name: value for name, value in labels.items() if isinstance(value, str)}


def _env(found: Any) -> dict[str, str]:
    lines = [line for line in found if isinstance(line, str)] if isinstance(found, list) else []
    return dict(line.partition("=")[::2] for line in lines)
