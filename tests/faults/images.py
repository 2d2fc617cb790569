"""Images to update to: one that no host has ever seen for each case, good or with a fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.lab.oci import Image
from tests.lab.standins import webui

LIKE_V1 = "v1"


@dataclass(frozen=True)
class Build:
    """What an image is like: a version of the stand-in, more faults, MiB of its own."""

    like: str = LIKE_V1
    faults: Mapping[str, Any] = field(default_factory=dict)
    megabytes: int = 0

    def image(self, serial: int) -> Image:
        """The image; another serial is another digest, and another layer where it has its own."""
        if self.megabytes:
            found = webui.sized("faults", self.megabytes, serial)
        else:
            found = webui.images()[self.like]
        environment = [*found.config["Env"], *_faults(self.faults)]
        labels = {**found.config["Labels"], "org.gpuhost.lab.serial": str(serial)}
        return replace(found, config={**found.config, "Env": environment, "Labels": labels})


def _faults(faults: Mapping[str, Any]) -> list[str]:
    return [f"WEBUI_FAULTS={json.dumps(dict(faults))}"] if faults else []
