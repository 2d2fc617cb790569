"""The lab's images: the WebUI stand-in in several versions and faults, and a plain probe image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.lab.oci import Entry, Image, Index, Layer, Registry, layer_of
from tests.lab.standins.webui import base, foreign, noise
from tests.lab.steps import step

NAME = "registry.gpuhost.test:5000"
REPOSITORY = "sd-webui"
PROBE = ("debian", "trixie-slim")
APP = Path(__file__).parent / "app"
HOME = "/home/runner"


@dataclass(frozen=True)
class Version:
    """One image of the WebUI: its number, when it was made, what it needs and what is wrong."""

    number: str
    created: str
    cuda: str = "12.8"
    faults: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the image."""
        return {
            "org.opencontainers.image.title": "sd-webui stand-in",
            "org.opencontainers.image.version": self.number,
            "org.opencontainers.image.created": self.created,
            "org.gpuhost.cuda": self.cuda,
            "org.gpuhost.torch": "2.13.0",
            "org.gpuhost.arch-list": "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX",
        }


V1 = Version("1.10.1-1", "2026-09-01T00:00:00Z")
V2 = Version("1.10.1-2", "2026-10-01T00:00:00Z")
V3 = Version("1.10.1-3", "2026-11-01T00:00:00Z")
NEWER_CUDA = Version(
    "1.10.1-4", "2026-11-02T00:00:00Z", "14.0", environment={"NVIDIA_REQUIRE_CUDA": "cuda>=14.0"}
)
BROKEN = Version("1.10.1-5", "2026-11-03T00:00:00Z", faults={"exit_at_start": 1})
DEAF = Version("1.10.1-6", "2026-11-04T00:00:00Z", faults={"never_healthy": True})
NO_PICTURE = Version("1.10.1-7", "2026-11-05T00:00:00Z", faults={"no_model": True})
DIES_IN_BAKE = Version("1.10.1-8", "2026-11-06T00:00:00Z", faults={"exit_after": 6})
BLIND = Version("1.10.1-9", "2026-11-07T00:00:00Z", faults={"lose_gpu": True})
REWRITES_CONFIG = Version(
    "1.10.1-10", "2026-11-08T00:00:00Z", faults={"rewrite_config": True, "no_model": True}
)
WRONG_ARCH = Version("1.10.1-11", "2026-11-09T00:00:00Z")

VERSIONS = {
    "v1": V1,
    "v2": V2,
    "v3": V3,
    "nightly": V1,
    "needs-newer-cuda": NEWER_CUDA,
    "broken": BROKEN,
    "deaf": DEAF,
    "no-picture": NO_PICTURE,
    "dies-in-bake": DIES_IN_BAKE,
    "blind": BLIND,
    "rewrites-config": REWRITES_CONFIG,
}
FOREIGN = ("wrong-arch", "wrong-arch-list")
LARGEST_LAYER = 250
"""MiB."""


def images() -> dict[str, Image]:
    """Every image of the WebUI by its tag."""
    common = _common()
    return {tag: _image(version, *common) for tag, version in VERSIONS.items()}


def wrong_arch() -> Image:
    """An image for another architecture; its config says so, and its shell is for that one."""
    other = foreign.other_architecture()
    return replace(_image(WRONG_ARCH, foreign.layer()), built_for=other)


def sized(name: str, megabytes: int, last_layer_seed: int = 1) -> Image:
    """The WebUI of that many MiB more, none of which compresses, in layers of 250 at most.

    Two of one name and size share all of them but the last, which the seed makes; push them
    under any tag with `lab.push`.
    """
    sizes = [LARGEST_LAYER] * (megabytes // LARGEST_LAYER)
    sizes += [megabytes % LARGEST_LAYER] if megabytes % LARGEST_LAYER else []
    seeds = [f"{name}-{index}" for index in range(len(sizes) - 1)]
    seeds += [f"{name}-last-{last_layer_seed}"]
    filling = [noise.layer(seed, size) for seed, size in zip(seeds, sizes, strict=True)]
    stamp = f"2026-11-10T00:{last_layer_seed % 60:02d}:00Z"
    return _image(Version(f"1.10.1-{name}.{last_layer_seed}", stamp), *_common(), *filling)


def probe() -> Image:
    """A small Debian without entry point; it shares its only layer with the WebUI's images."""
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Image((base.layer(),), {"Cmd": ["bash"], "Env": [path]})


def publish(endpoint: str, ca: Path | str, user: str, password: str) -> dict[str, str]:
    """Push all images and return their references by tag, that of the probe image as `probe`."""
    registry = Registry(endpoint, ca, user, password)
    built: dict[tuple[str, str], Image | Index] = {
        (REPOSITORY, tag): image for tag, image in images().items()
    }
    built |= dict(zip(((REPOSITORY, tag) for tag in FOREIGN), _foreign(), strict=True))
    built[PROBE] = probe()
    with step(f"{len(built)} images in {NAME}"):
        for (repository, tag), image in built.items():
            if registry.digest(repository, tag) != image.digest:
                registry.push(image, repository, tag)
    references = {tag: f"{NAME}/{REPOSITORY}:{tag}" for tag in (*VERSIONS, *FOREIGN)}
    return references | {"probe": f"{NAME}/{PROBE[0]}:{PROBE[1]}"}


def _foreign() -> tuple[Image, Index]:
    image = wrong_arch()
    return image, Index(image)


def _common() -> tuple[Layer, Layer]:
    return base.layer(), _app_layer()


def _image(version: Version, *below: Layer) -> Image:
    number = Entry("home/runner-app/VERSION", f"{version.number}\n".encode())
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "CLI_ARGS": "",
        **version.environment,
    }
    if version.faults:
        environment["WEBUI_FAULTS"] = json.dumps(version.faults)
    return Image(
        (*below, layer_of([number])),
        {
            "User": "runner:runner",
            "WorkingDir": HOME,
            "Volumes": {HOME: {}},
            "ExposedPorts": {"7860/tcp": {}},
            "StopSignal": "SIGINT",
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Cmd": ["bash", "/home/scripts/entrypoint.sh"],
            "Labels": version.labels,
        },
        version.created,
    )


def _app_layer() -> Layer:
    home = Entry("home/runner", mode=0o755, owner=1000)
    paths = [path for path in APP.rglob("*") if "__pycache__" not in path.parts]
    return layer_of([Entry("home", mode=0o755), home, *(_app_entry(path) for path in paths)])


def _app_entry(path: Path) -> Entry:
    content = path.read_bytes() if path.is_file() else None
    return Entry(f"home/{path.relative_to(APP)}", content, 0o755)
