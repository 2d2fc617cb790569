"""Image references as Docker reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

DOCKER_HUB = "docker.io"

_REGISTRY = re.compile(
    r"(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*"
    r"[a-zA-Z0-9])?)*)(:[0-9]{1,5})?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class ReferenceError_(ValueError):  # noqa: N801, N818, RUF100
    """Why a text is no image reference, in one line."""


@dataclass(frozen=True)
class Reference:
    """One image: where it is, and the tag or digest that names it there.

    Source of the grammar: github.com/distribution/reference.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference and fill in what Docker would: ``docker.io``, ``library/``, ``latest``.

        Raises `ReferenceError_`.
        """
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise _error("digest should be 'sha256:' and 64 hex digits", digest, text)
        registry, path = _split(rest)
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise _error("tag should be letters, digits and _ . -, up to 128", tag, text)
        if not _REGISTRY.fullmatch(registry):
            raise _error("registry should be a host name or address, with a port", registry, text)
        if path != path.lower():
            raise _error(f"repository should be lower case, {path.lower()!r}", path, text)
        if not _REPOSITORY.fullmatch(path) or len(path) > 255:
            raise _error("repository should be lower-case words joined by / . _ -", path, text)
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        return cls(registry, path, tag or (None if digest else "latest"), digest or None)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def at(self, digest: str) -> Reference:
        """Name the same repository's image by digest alone; `ReferenceError_` for a bad one."""
        if not _DIGEST.fullmatch(digest):
            raise _error("digest should be 'sha256:' and 64 hex digits", digest, str(self))
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


def _split(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not host:
        return DOCKER_HUB, text
    return (DOCKER_HUB if first == "index.docker.io" else first), rest


def _error(what: str, found: str, text: str) -> ReferenceError_:
    return ReferenceError_(f"image reference {text!r}: {what}, got {found!r}")
