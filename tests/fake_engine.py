"""An engine that exists only in memory, behind the words of docker's command line."""

import json
from typing import Any

from gpuhost.hostside.docker import DockerError


class Engine:
    """Images, containers and networks as `docker inspect` shows them; `calls` is what was asked."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, ...]] = []

    def image(self, key: str, *names: str, **labels: str) -> None:
        self.images[key] = {
            "Id": key, "Size": 100, "Created": "2026-01-01T00:00:00Z", "Parent": "",
            "RepoTags": [one for one in names if "@" not in one],
            "RepoDigests": [one for one in names if "@" in one],
            "Config": {"Labels": labels},
        }  # fmt: skip

    def container(
        self, name: str, image: str, status: str = "exited", instance: str = "", release: str = "",
        network: str = "",
    ) -> None:  # fmt: skip
        labels = {"org.gpuhost.instance": instance, "org.gpuhost.release": release}
        self.containers[name] = {
            "Id": f"c-{name}", "Name": f"/{name}", "Image": image,
            "Created": "2026-01-02T00:00:00Z",
            "State": {"Status": status, "StartedAt": "2026-01-02T00:00:01.5Z",
                      "FinishedAt": "2026-01-03T00:00:00Z" if status == "exited" else "0001-01-01"},
            "Config": {"Labels": labels if instance else None},
            "NetworkSettings": {"Networks": {network: {}} if network else {}},
        }  # fmt: skip

    def __call__(self, *words: str, timeout: float = 0, stdin: bytes | None = None) -> str:
        self.calls.append(words)
        match words:
            case ("ps", *_):
                return "\n".join(one["Id"] for one in self.containers.values())
            case ("image", "ls", *_):
                return "\n".join(self.images)
            case ("container" | "image" | "network" as kind, "inspect", *ids):
                return json.dumps([self._found(kind, key) for key in ids])
            case ("network", "ls", *_):
                rows = self.networks.items()
                return "\n".join(f"{key}\t{one['name']}\t{one['project']}" for key, one in rows)
            case ("rm", key):
                self._stopped(key)
                name = self._found("container", key)["Name"].lstrip("/")
                del self.containers[name]
                return key
            case ("image", "rm", name):
                return self._untag(name)
            case ("network", "rm", key):
                del self.networks[key]
                return key
            case ("info", *_):
                return '/\t[["Backing Filesystem","extfs"]]\n'
        raise AssertionError(words)

    def _found(self, kind: str, key: str) -> dict[str, Any]:
        rows = {"container": self.containers, "image": self.images, "network": self.networks}[kind]
        for one in rows.values():
            if key in (one.get("Id"), *one.get("RepoTags", ()), *one.get("RepoDigests", ())):
                return one
        raise DockerError(f"docker {kind}: Error: No such {kind}: {key}")

    def _stopped(self, key: str) -> None:
        if self._found("container", key)["State"]["Status"] == "running":
            raise DockerError("docker rm: container is running: stop it, or force removal")

    def _untag(self, name: str) -> str:
        found = self._found("image", name)
        for names in (found["RepoTags"], found["RepoDigests"]):
            if name in names:
                names.remove(name)
        if not found["RepoTags"]:
            del self.images[found["Id"]]
        return name
