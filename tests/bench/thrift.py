"""Bytes that an update pulls where only the last large layer of the image changed."""

from __future__ import annotations

from typing import Any

from tests.bench.ground import Ground, webui_name
from tests.bench.hosts import CONTAINER
from tests.lab.oci import Image
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
    before = {layer.digest for layer in whole.layers}
    fresh = sum(layer.size for layer in changed.layers if layer.digest not in before)
    return {
        "bytes_pulled": part,
        "bytes_changed": fresh + len(changed.config_json()),
        "bytes_whole": full,
        "part": round(part / full, 3),
    }


def _pulled(ground: Ground, image: Image) -> int:
    """Bytes that the registry served for one update, blobs alone."""
    faulty, at = ground.lab.faulty, ground.lab.record["faulty_registry"]
    ground.publish(image)
    faulty.reset()
    ground.gpuhost(
        "gpuhost.tasks.update",
        image_reference=faulty.reference(ground.tag),
        image_registry_endpoint=at["endpoint"],
    )
    ground.must_run(CONTAINER, image)
    return faulty.bytes_served()
