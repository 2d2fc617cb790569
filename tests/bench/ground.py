"""One host on which a WebUI moves between two images of one size, by whatever way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import ssh
from tests.bench.hosts import CONTAINER, BenchError
from tests.bench.running import measured
from tests.lab import Lab, LabHost, deploying
from tests.lab.oci import Image
from tests.lab.places import STATE
from tests.lab.poller import Poller
from tests.lab.standins import webui

USER = "painter"
"""The login that the lab's inventory gives to Debian 13 hosts."""
LIMIT = 60.0
"""Seconds within which a WebUI has to answer."""


@dataclass
class Ground:
    """The host and the two images that a tag moves between.

    :param site: an inventory of the lab with a lock of its own
    """

    lab: Lab
    host: LabHost
    site: Path
    megabytes: int
    images: Sequence[Image]
    current: int = 0
    """The image that gpuhost's container runs."""

    @property
    def target(self) -> Image:
        """The image to move to."""
        return self.images[1 - self.current]

    @property
    def tag(self) -> str:
        """The tag that moves between the images."""
        return f"downtime-{self.megabytes}"

    @property
    def reference(self) -> str:
        """What moves."""
        return f"{webui.NAME}/{webui.REPOSITORY}:{self.tag}"

    def gpuhost(self, what: str, **data: Any) -> deploying.Run:
        """A verb of gpuhost, which must succeed."""
        settings: dict[str, Any] = {"image_reference": self.reference, "gate_bake": 1, **data}
        done = deploying.run(self.site, [self.host.name], "-y", what=what, **settings)
        if done.rc:
            raise BenchError(f"{what}: exit code {done.rc}:\n{done.said[-2000:]}")
        return done

    def over_ssh(self, command: str) -> None:
        """What a person types; BenchError when it fails."""
        measured(ssh.words(self.lab, self.host, command), [], {})

    def publish(self, image: Image) -> None:
        """Let the tag mean this image."""
        self.lab.push(image, self.tag)

    def forget(self, image: Image) -> None:
        """Take an image away from the host, so that a pull moves its bytes."""
        name = _by_digest(image)
        self.host.run(
            f"id=$(docker image inspect -f '{{{{.Id}}}}' {name} 2>/dev/null) || exit 0\n"
            'docker image rm -f "$id"',
            check=True,
        )
        if self.host.run(f"docker image inspect {name}").rc == 0:
            raise BenchError(f"{self.host.name}: {name}: cannot be removed")

    def retag(self) -> None:
        """Let the host's own tag mean what runs there."""
        name = _by_digest(self.images[self.current])
        self.host.run(f"docker tag {name} {self.reference}", check=True)

    def must_run(self, container: str, image: Image) -> None:
        """:raises BenchError: when the container is not of this image"""
        found = self.host.run(
            f"docker image inspect -f '{{{{.RepoDigests}}}}' "
            f"$(docker inspect -f '{{{{.Image}}}}' {container})"
        ).out
        if image.digest not in found:
            raise BenchError(f"{container}: should run {image.digest}, runs {found.strip()}")

    def poller(self, interval: float) -> Poller:
        """A poller of the WebUI, with its login."""
        password = (STATE / "webui-password").read_text(encoding="utf-8")
        url = f"http://{self.host.address}:7860"
        return Poller(url, f"{USER}:{password}", interval=interval)

    def settled(self) -> None:
        """Wait until the WebUI answers; BenchError when it does not."""
        with self.poller(0.05) as poller:
            deadline = time.monotonic() + LIMIT
            while not any(probe.answered for probe in poller.probes[-5:]):
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.host.name}: no answer within {LIMIT:.0f} s")
                time.sleep(0.05)


def prepared(lab: Lab, host: LabHost, site: Path, megabytes: int) -> Ground:
    """gpuhost's WebUI runs the first of two images of that size, which share nothing of it."""
    images = [webui.sized(webui_name(index), megabytes) for index in range(2)]
    ground = Ground(lab, host, site, megabytes, images)
    lab.push(images[1], f"{ground.tag}-b")
    ground.publish(images[0])
    ground.gpuhost("deploy.py")
    ground.must_run(CONTAINER, images[0])
    return ground


def webui_name(index: int) -> str:
    """What the layers of an image are made from."""
    return f"downtime-{'ab'[index]}"


def _by_digest(image: Image) -> str:
    return f"{webui.NAME}/{webui.REPOSITORY}@{image.digest}"
