"""Docker in memory: as much of it as a switch meets, and as faithful as its mistakes deserve."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gpuhost.hostside.docker import DockerError

LABEL_PROJECT = "com.docker.compose.project"
ALIVE = ("running", "restarting", "paused")


@dataclass
class Image:
    """An image, and how what is made of it behaves."""

    id: str
    names: set[str]
    size: int = 1000
    layers: tuple[str, ...] = ()
    flaw: str = ""
    """The gate at which its containers fail, or "" for none."""


@dataclass
class Box:
    """One container."""

    id: str
    name: str
    image: Image
    labels: dict[str, str]
    network: str
    port: str
    reference: str
    policy: str = "unless-stopped"
    status: str = "created"
    error: str = ""
    exit_code: int = 0
    restarts: int = 0
    pid: int = 0
    started_before: bool = False
    stopped_by_hand: bool = False
    health: str = "healthy"
    proven_for: float = -1
    """Seconds since its gates passed; -1 before."""

    @property
    def release(self) -> str:
        """The release it was made for."""
        return self.labels.get("org.gpuhost.release", "")


@dataclass
class Engine:
    """Images, containers and networks; `touch` is called before each change."""

    folder: Path
    touch: Callable[[str], None] = lambda _: None
    started: Callable[[Box], None] = lambda _: None
    images: list[Image] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    networks: set[str] = field(default_factory=set)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """What a command that begins so fails with."""
    held: dict[int, int] = field(default_factory=dict)
    """Processes that have ended and still hold GPU memory, and for how many looks."""
    lingers: int = 0
    killed: list[str] = field(default_factory=list)
    """Releases of containers that were running when they were removed."""
    _made: int = 0

    @property
    def lasting(self) -> tuple[Any, ...]:
        """What outlives a program that is killed."""
        return self.images, self.boxes, self.networks, self.held, self.killed, self._made

    @lasting.setter
    def lasting(self, found: tuple[Any, ...]) -> None:
        self.images, self.boxes, self.networks, self.held, self.killed, self._made = found

    def run(self, words: tuple[str, ...]) -> str:
        """One command; what it prints."""
        self.calls.append(words)
        for start, said in self.broken.items():
            if " ".join(words).startswith(start):
                raise DockerError(f"docker {words[0]}: {said}")
        return getattr(self, f"_{words[0]}")(*words[1:]) or ""

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """What `docker KIND inspect` shows."""
        if kind == "image":
            image = self.image(name)
            return {"Id": image.id, "Size": image.size} if image else None
        if kind == "network":
            on_it: dict[str, Any] = {
                b.id: {} for b in self.boxes if b.network == name and b.status in ALIVE
            }
            return {"Name": name, "Containers": on_it} if name in self.networks else None
        box = self.box(name)
        return self._shown(box) if box else None

    def image(self, name: str) -> Image | None:
        """An image by ID, tag or digest."""
        return next((one for one in self.images if name == one.id or name in one.names), None)

    def box(self, name: str) -> Box | None:
        """A container by ID or name."""
        return next((one for one in self.boxes if name in (one.id, one.name)), None)

    def reboot(self) -> None:
        """The host goes down and comes up again."""
        for box in self.boxes:
            if box.status in ALIVE:
                box.status, box.exit_code, box.pid = "exited", 255, 0
                box.labels["_ran"] = "yes"
        self._restore()

    def pass_time(self, seconds: float) -> None:
        """What becomes of containers in time."""
        for box in self.boxes:
            if box.status == "running" and box.proven_for >= 0:
                box.proven_for += seconds
                if box.proven_for > 3:
                    self._spoil(box)

    def _spoil(self, box: Box) -> None:
        if box.image.flaw == "bake: unhealthy":
            box.health = "unhealthy"
        elif box.image.flaw == "bake: restarts":
            box.restarts += 1
        elif box.image.flaw == "bake: exits":
            box.status, box.exit_code, box.pid = "exited", 139, 0

    def answers(self) -> bool:
        """Whether a WebUI answers at the published port."""
        up = [box for box in self.boxes if box.status == "running"]
        silent = ("published", "answers")
        return any(
            box.image.flaw not in silent
            and not (box.image.flaw == "bake: silent" and box.proven_for > 3)
            for box in up
        )

    def compute_processes(self) -> list[int]:
        """What `nvidia-smi` lists as holding memory."""
        found = [pid for pid, left in self.held.items() if left > 0]
        self.held = {pid: left - 1 for pid, left in self.held.items()}
        return [*found, *(box.pid for box in self.boxes if box.pid)]

    def _restore(self) -> None:
        for box in self.boxes:
            ran = box.labels.pop("_ran", "")
            wanted = box.policy == "always" or (
                box.policy == "unless-stopped" and not box.stopped_by_hand and box.started_before
            )
            if wanted and ran:
                try:
                    self._begin(box)
                except DockerError as error:
                    box.error = str(error)

    def _shown(self, box: Box) -> dict[str, Any]:
        state = {
            "Status": box.status,
            "ExitCode": box.exit_code,
            "Error": box.error,
            "StartedAt": "2026-11-28T10:00:00Z" if box.started_before else "0001-01-01T00:00:00Z",
        }
        if box.status == "running":
            state["Health"] = {"Status": box.health}
        return {
            "Id": box.id,
            "Name": f"/{box.name}",
            "Config": {"Labels": dict(box.labels)},
            "State": state,
            "RestartCount": box.restarts,
            "HostConfig": {"RestartPolicy": {"Name": box.policy}},
            "Image": box.image.id,
            "LogPath": str(self.folder / f"{box.release}.log"),
        }

    def _found(self, name: str) -> Box:
        box = self.box(name)
        if box is None:
            raise DockerError(f"docker: Error response from daemon: No such container: {name}")
        return box

    def _ps(self, *words: str) -> str:
        label = words[-1].removeprefix("label=") if "--filter" in words else ""
        if "{{.Image}}" in words:
            return "\n".join(box.reference for box in self.boxes)
        key, _, value = label.partition("=")
        found = [b for b in self.boxes if key in b.labels and value in ("", b.labels[key])]
        return "\n".join(box.id for box in reversed(found))

    def _rename(self, name: str, new: str) -> None:
        box, other = self._found(name), self.box(new)
        if other:
            raise DockerError(f'docker rename: Conflict. The container name "/{new}" is in use')
        self.touch(f"rename {box.name} {new}")
        box.name = new

    def _stop(self, *words: str) -> None:
        box = self._found(words[-1])
        if box.status in ALIVE:
            self.touch(f"stop {box.name}")
            self.held[box.pid] = self.lingers
            box.status, box.exit_code, box.pid, box.stopped_by_hand = "exited", 0, 0, True

    def _update(self, *words: str) -> None:
        box = self._found(words[-1])
        self.touch(f"update {box.name} {words[1]}")
        box.policy = words[1]

    def _start(self, name: str) -> None:
        box = self._found(name)
        if box.status == "running":
            return
        self.touch(f"start {box.name}")
        box.restarts, box.stopped_by_hand = 0, False
        self._begin(box)

    def _begin(self, box: Box) -> None:
        taken = any(b.port == box.port and b.status in ALIVE for b in self.boxes if b is not box)
        error = "driver failed: Bind for 127.0.0.1:7860 failed: port is already allocated"
        if box.network not in self.networks:
            taken, error = True, f"network {box.network} not found"
        if box.image.flaw == "starts":
            taken, error = True, "could not select device driver"
        if taken:
            box.error, box.exit_code = error, 128
            raise DockerError(f"docker start: Error response from daemon: {error}")
        self._made += 1
        box.status, box.error, box.exit_code, box.pid = "running", "", 0, 1000 + self._made
        box.started_before, box.proven_for = True, -1
        box.health = "starting" if box.image.flaw == "healthy" else "healthy"
        if box.image.flaw == "stays":
            box.restarts = 2
        self.started(box)

    def _rm(self, *words: str) -> None:
        box = self.box(words[-1])
        if box is None:
            return
        if box.status in ALIVE:
            self.touch(f"kill {box.name}")
            self.killed.append(box.release)
            box.status, box.pid = "exited", 0
        self.touch(f"rm {box.name}")
        self.boxes.remove(box)

    def _network(self, *words: str) -> None:
        assert words[0] == "rm"
        shown = self.inspect("network", words[1])
        if not shown or shown["Containers"]:
            raise DockerError(f"docker network: error while removing network {words[1]}")
        self.touch(f"network rm {words[1]}")
        self.networks.discard(words[1])

    def _tag(self, name: str, tag: str) -> None:
        image = self.image(name)
        if image is None:
            raise DockerError(f"docker tag: Error response from daemon: No such image: {name}")
        if tag not in image.names:
            self.touch(f"tag {tag}")
            for one in self.images:
                one.names.discard(tag)
            image.names.add(tag)

    def rmi(self, name: str) -> None:
        """Remove an image as `docker rmi --force NAME` does: not one that a container uses."""
        image = self.image(name)
        if image is None:
            raise DockerError(f"docker rmi: No such image: {name}")
        if any(box.image is image for box in self.boxes):
            raise DockerError("docker rmi: conflict: image is being used by a container")
        self.images.remove(image)

    def _run(self, *words: str) -> str:
        image = self.image(words[-2])
        assert "never" in words
        if image is None:
            raise DockerError("docker run: Unable to find image")
        if image.flaw == "proof":
            raise DockerError("docker run: could not select device driver")
        return "GPU 9: other" if image.flaw == "other GPUs" else "GPU 0: card"

    def _exec(self, name: str, *_: str) -> str:
        box = self._found(name)
        if box.status != "running" or box.image.flaw == "exec":
            raise DockerError("docker exec: container is not running")
        return "GPU 0: card"

    def _top(self, name: str, *_: str) -> str:
        box = self._found(name)
        if box.status != "running":
            raise DockerError("docker top: container is not running")
        return f"PID\n{box.pid}\n"

    def _info(self, *_: str) -> str:
        return str(self.folder)

    def _image(self, verb: str, *words: str) -> str:
        if verb == "ls" and "--digests" in words:
            rows = [
                {"ID": image.id, "Digest": name.partition("@")[2]}
                for image in self.images
                for name in sorted(image.names)
                if name.startswith(f"{words[-1]}@")
            ]
            return "\n".join(map(json.dumps, rows))
        if verb == "ls":
            return "\n".join(image.id for image in self.images)
        found = [image for image in self.images if image.id in words]
        if "{{.Size}}" in words:
            return "\n".join(str(image.size) for image in found)
        return "\n".join(json.dumps(image.layers) for image in found)

    def _compose(self, *words: str) -> None:
        project, path = words[1], Path(words[3])
        if not path.exists():
            raise DockerError(f"docker compose: open {path}: no such file or directory")
        service = yaml.safe_load(path.read_text())["services"]["webui"]
        if words[4] == "config":
            return
        assert words[4:] == ("create", "--pull", "never", "--force-recreate")
        self._make(project, service)

    def _make(self, project: str, service: dict[str, Any]) -> None:
        image, network = self.image(service["image"]), f"{project}_default"
        if image is None:
            raise DockerError(f"docker compose: No such image: {service['image']}")
        if network not in self.networks:
            self.touch(f"network create {network}")
            self.networks.add(network)
        for box in [one for one in self.boxes if one.labels[LABEL_PROJECT] == project]:
            self._rm("--force", box.id)
        if self.box(service["container_name"]):
            raise DockerError(
                "docker compose: Error response from daemon: Conflict. The container name"
                f' "/{service["container_name"]}" is already in use'
            )
        self.touch(f"create {service['container_name']}")
        self._made += 1
        labels = {**service["labels"], LABEL_PROJECT: project}
        name, (port,) = service["container_name"], service["ports"]
        box = Box(f"{self._made:064x}", name, image, labels, network, port, service["image"])
        self.boxes.append(box)
