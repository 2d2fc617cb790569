"""Ways to move a WebUI to another image: gpuhost's, two by hand, and a mere restart."""

from __future__ import annotations

import shlex
from typing import Protocol

import yaml

from gpuhost.planning.registry_login import CLIENT
from tests.bench.ground import Ground
from tests.bench.hosts import COMPOSE, CONTAINER, BenchError

BY_HAND = "bench-by-hand"
COMPOSED = "bench-compose"
FILE = "/opt/bench-compose.yaml"


class Way(Protocol):
    """One way; `move` is what is measured."""

    name: str
    container: str
    moves: bool
    """Whether another image runs afterwards."""

    @property
    def command(self) -> str:
        """What a person types."""

    def begin(self) -> None:
        """Have its container run the current image."""

    def move(self) -> None:
        """Move to what the tag means now."""

    def end(self) -> None:
        """Free the port for the next way."""


class Ours:
    """`gpuhost.tasks.update`."""

    name, container, moves = "gpuhost", CONTAINER, True
    command = "pyinfra -y INVENTORY gpuhost.tasks.update"

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def begin(self) -> None:
        self.ground.host.run(f"docker start {CONTAINER}", check=True)

    def move(self) -> None:
        self.ground.gpuhost("gpuhost.tasks.update")
        self.ground.current = 1 - self.ground.current

    def end(self) -> None:
        self.ground.host.run(f"docker stop {CONTAINER}", check=True)


class Restart(Ours):
    """The limit: the same container once more."""

    name, moves = "restart", False
    command = f"docker restart {CONTAINER}"

    def move(self) -> None:
        self.ground.over_ssh(self.command)


class ByHand:
    """The README's line, over SSH: remove, pull, run."""

    name, container, moves = "by_hand", BY_HAND, True

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        lines = ground.gpuhost("gpuhost.tasks.explain").out.splitlines()
        words = shlex.split(next(line for line in lines if line.startswith("docker run ")))
        words[words.index("--name") + 1] = BY_HAND
        self.line = shlex.join([*words[:-1], ground.reference])

    @property
    def command(self) -> str:
        pull = f"docker --config {CLIENT} pull -q {self.ground.reference}"
        return f"docker rm -f {BY_HAND}; {pull} && {self.line}"

    def begin(self) -> None:
        self.ground.retag()
        self.ground.host.run(self.line, check=True)

    def move(self) -> None:
        self.ground.over_ssh(self.command)

    def end(self) -> None:
        self.ground.host.run(f"docker rm -f {BY_HAND}", check=True)


class Compose:
    """The same compose file under a project of its own, with the moving tag."""

    name, container, moves = "compose", COMPOSED, True

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        document = yaml.safe_load(ground.host.run(f"cat {COMPOSE}", check=True).out)
        service = document["services"]["webui"]
        if not any(str(port).startswith("0.0.0.0:") for port in service["ports"]):
            raise BenchError(f"{COMPOSE}: should publish on 0.0.0.0, has {service['ports']}")
        del service["labels"]
        service |= {"image": ground.reference, "container_name": COMPOSED}
        document["name"] = COMPOSED
        ground.host.write(FILE, yaml.safe_dump(document))

    @property
    def command(self) -> str:
        return f"{self._compose('pull -q')} && {self._compose('up -d')}"

    def begin(self) -> None:
        self.ground.retag()
        self.ground.host.run(self._compose("up -d --pull never"), check=True)

    def move(self) -> None:
        self.ground.over_ssh(self.command)

    def end(self) -> None:
        self.ground.host.run(self._compose("down"), check=True)

    def _compose(self, words: str) -> str:
        return f"docker --config {CLIENT} compose -f {FILE} {words}"


def all_ways(ground: Ground) -> list[Way]:
    """Each of them once."""
    return [Ours(ground), Restart(ground), Compose(ground), ByHand(ground)]
