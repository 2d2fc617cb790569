"""What an image reference means now: its digest, and what its config says, before any layer."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from . import image_manifest, strict_json
from .image_manifest import INDEXES, MANIFESTS, ManifestError
from .reference import DOCKER_HUB, Reference, ReferenceError_
from .registry_client import Client, Login, RegistryError, is_loopback
from .registry_http import Reply, Transport

__all__ = ["Reference", "ReferenceError_", "Registry", "RegistryError", "ResolvedImage"]

LIMIT = 8 << 20
"""Most bytes of a manifest or a config; the engine itself takes manifests up to 4 MiB."""


_T = TypeVar("_T")


@dataclass(frozen=True)
class ResolvedImage:
    """One image for one platform.

    `digest` names its manifest, never an index; `size` is compressed bytes, the sum of its layers;
    `created` is ISO 8601 as in the config; `platform` is ``os/architecture`` as in the config;
    `layers` holds diff_id and compressed bytes of each layer, bottom first, or nothing where
    config and manifest do not agree on how many there are.
    """

    reference: Reference
    digest: str
    platform: str
    created: str
    size: int
    layers: tuple[tuple[str, int], ...]
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
        return self._asked(reference, platform, _Question.image)

    def digest(self, reference: Reference, platform: str = "linux/amd64") -> str:
        """Ask only for the digest: of a tag that names no index this counts as no pull."""
        return self._asked(reference, platform, _Question.digest)

    def _asked(self, reference: Reference, platform: str, what: Callable[[_Question], _T]) -> _T:
        for mirror in self._mirrors if reference.registry == DOCKER_HUB else ():
            try:
                return _Question(mirror, reference, platform).answer(what)
            except RegistryError:
                continue
        own = self._registry(reference.registry)
        return _Question(own, reference, platform).answer(what)

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

    def answer(self, what: Callable[[_Question], _T]) -> _T:
        try:
            return what(self)
        except (RegistryError, ManifestError) as error:
            raise RegistryError(f"{self.reference}: {error}") from None

    def image(self) -> ResolvedImage:
        digest, manifest = self._manifest(self.reference.digest or self._tagged()[0])
        try:
            config = self._config(image_manifest.config_digest(manifest))
            sizes = image_manifest.sizes(manifest)
        except ManifestError as error:
            raise _odd(digest, str(error)) from None
        diff_ids = image_manifest.diff_ids(config)
        return ResolvedImage(
            self.reference, digest, image_manifest.built_for(config, self.platform),
            image_manifest.text(config.get("created")), sum(sizes),
            tuple(zip(diff_ids, sizes, strict=True)) if len(diff_ids) == len(sizes) else (),
            image_manifest.labels(config), image_manifest.env(config),
        )  # fmt: skip

    def digest(self) -> str:
        if self.reference.digest:
            return self._manifest(self.reference.digest)[0]
        digest, kind = self._tagged()
        return digest if kind in MANIFESTS else self._manifest(digest)[0]

    def _tagged(self) -> tuple[str, str]:
        """Digest and media type of what the tag names."""
        path = f"manifests/{self.reference.tag}"
        reply = self._get("HEAD", path, (*MANIFESTS, *INDEXES))
        digest = reply.headers.get("docker-content-digest")
        if digest is None:
            reply = self._get("GET", path, (*MANIFESTS, *INDEXES))
            digest = f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        kind = reply.headers.get("content-type", "").partition(";")[0].strip()
        return self._usable(digest, f"tag {self.reference.tag!r}"), kind

    def _manifest(self, digest: str) -> tuple[str, dict[str, Any]]:
        for _ in range(3):
            manifest = self._json(f"manifests/{digest}", digest, (*MANIFESTS, *INDEXES))
            if not isinstance(manifest.get("manifests"), list):
                return digest, manifest
            inner = image_manifest.chosen(manifest["manifests"], self.platform)
            digest = self._usable(inner, digest)
        raise _odd(digest, "is an index of indexes of indexes")

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
