"""Bytes that an update pulls where only the last large layer of the image changed."""

from __future__ import annotations

from typing import Any

from tests.bench.ground import Ground, webui_name
from tests.bench.hosts import CONTAINER, BenchError
from tests.lab.oci import Image, sha256
from tests.lab.standins import webui
from tests.lab.steps import say

SECOND = 2
"""Seed of the layer that changes."""


def measure(ground: Ground) -> dict[str, Any]:
    """Move gpuhost's WebUI to an image new to the host, then to that with another last layer."""
    whole, name = ground.target, webui_name(1 - ground.current)
    changed = webui.sized(name, ground.megabytes, SECOND)
    ground.forget(whole)
    full = _pulled(ground, whole)
    part = _pulled(ground, changed)
    say(f"bytes pulled: {part / 1e6:.1f} MB, the whole image {full / 1e6:.1f} MB")
    before = _blobs(whole)
    fresh = sum(size for digest, size in _blobs(changed).items() if digest not in before)
    if part < fresh:
        raise BenchError(f"{part} bytes were counted, {fresh} changed: who else used the registry?")
    return {
        "bytes_pulled": part,
        "bytes_changed": fresh,
        "bytes_whole": full,
        "part": round(part / full, 3),
    }


def _pulled(ground: Ground, image: Image) -> int:
    """Bytes of the image's blobs that the registry served for one update."""
    faulty, at = ground.lab.faulty, ground.lab.record["faulty_registry"]
    ground.publish(image)
    faulty.reset()
    ground.gpuhost(
        "gpuhost.tasks.update",
        image_reference=faulty.reference(ground.tag),
        image_registry_endpoint=at["endpoint"],
    )
    ground.must_run(CONTAINER, image)
    blobs = _blobs(image)
    return sum(one.bytes for one in faulty.served() if one.path.rpartition("/")[2] in blobs)


def _blobs(image: Image) -> dict[str, int]:
    """Size by digest: layers and config."""
    config = image.config_json()
    return {sha256(config): len(config), **{one.digest: one.size for one in image.layers}}
