"""What manifests and configs of images say, as registries serve them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


class ManifestError(ValueError):
    """Why something is no image for a platform."""


def chosen(entries: list[Any], platform: str) -> Any:
    """The digest of a platform's image among the entries of an index.

    Raises `ManifestError` where there is none.
    """
    found = [entry for entry in entries if isinstance(entry, dict)]
    offered = [(_offered(entry.get("platform")), entry.get("digest")) for entry in found]
    for exact in (True, False):
        for name, digest in offered:
            same = name == platform or (not exact and _alike(name, platform))
            if same and isinstance(digest, str):
                return digest
    known = ", ".join(sorted({name for name, _ in offered if "unknown" not in name}))
    raise ManifestError(f"it is not built for {platform}, only for {known or 'nothing'}")


def config_digest(manifest: dict[str, Any]) -> str:
    """Where the config of an image is; `ManifestError` for what is no container image."""
    described = manifest.get("config")
    if not isinstance(described, dict) or described.get("mediaType") not in CONFIGS:
        kind = described.get("mediaType") if isinstance(described, dict) else described
        raise ManifestError(f"should be a container image, got one with config {kind!r}")
    return str(described.get("digest"))


def sizes(manifest: dict[str, Any]) -> tuple[int, ...]:
    """Compressed bytes of each layer, bottom first; `ManifestError` where they are not said."""
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not all(_sized(layer) for layer in layers):
        raise ManifestError("has layers without a size")
    return tuple(layer["size"] for layer in layers)


def diff_ids(config: dict[str, Any]) -> tuple[str, ...]:
    """Digests of the unpacked layers, bottom first; none where they are not said."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    texts = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return tuple(texts) if isinstance(found, list) and len(texts) == len(found) else ()


def built_for(config: dict[str, Any], wanted: str) -> str:
    """The platform of a config as ``os/architecture``, "" where it says none.

    Raises `ManifestError` for another than the wanted one.
    """
    names = [text(config.get(key)) for key in ("os", "architecture")]
    platform = "/".join(names) if all(names) else ""
    if platform and not (platform == wanted or _alike(platform, wanted)):
        raise ManifestError(f"it is built for {platform}, not for {wanted}")
    return platform


def labels(config: dict[str, Any]) -> dict[str, str]:
    """Labels of an image."""
    return dict(_texts(_inner(config).get("Labels")))


def env(config: dict[str, Any]) -> dict[str, str]:
    """Environment of an image."""
    found = _inner(config).get("Env")
    lines = [line for line in found if isinstance(line, str)] if isinstance(found, list) else []
    return dict(line.partition("=")[::2] for line in lines)


def text(value: Any) -> str:
    """A text, or "" for anything else."""
    return value if isinstance(value, str) else ""


def _inner(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("config")
    return inner if isinstance(inner, dict) else {}


def _texts(found: Any) -> Iterator[tuple[str, str]]:
    pairs = found.items() if isinstance(found, dict) else ()
    return ((name, value) for name, value in pairs if isinstance(value, str))


def _offered(platform: Any) -> str:
    names = platform if isinstance(platform, dict) else {}
    parts = [names.get("os") or "unknown", names.get("architecture") or "unknown"]
    return "/".join(str(part) for part in [*parts, *filter(None, [names.get("variant")])])


def _alike(name: str, wanted: str) -> bool:
    """Whether they differ in that only one of them names a variant."""
    shorter, longer = sorted((name.split("/"), wanted.split("/")), key=len)
    return len(shorter) == 2 and longer[:2] == shorter


def _sized(layer: Any) -> bool:
    size = layer.get("size") if isinstance(layer, dict) else None
    return isinstance(size, int) and size >= 0
