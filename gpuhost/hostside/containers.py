"""The containers of an instance, by the release they belong to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from gpuhost.hostside import docker
from gpuhost.hostside.records import StoredRelease

INSTANCE = "org.gpuhost.instance"
RELEASE = "org.gpuhost.release"
PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class Container:
    """One container of ours."""

    id: str
    name: str
    instance: str
    release: str
    project: str
    status: str
    health: str
    exit_code: int
    restarts: int
    started: str
    error: str
    image: str
    """The image's ID."""
    policy: str
    """When the engine starts it again by itself."""

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.status == "running"

    @property
    def ours(self) -> bool:
        """Whether its name is ours too: what is made from a commit of ours has our labels."""
        base = f"gpuhost-{self.instance}"
        return self.name in (base, f"{base}-previous", f"{base}-failed") or bool(
            re.fullmatch(rf"[0-9a-f]{{12}}_{re.escape(base)}", self.name)
        )

    @property
    def live(self) -> bool:
        """Whether it has its instance's name, and is not put aside."""
        return self.name == f"gpuhost-{self.instance}"

    @property
    def end(self) -> str:
        """How it ended, for people."""
        text = f"{self.status}, exit code {self.exit_code}, restarted {self.restarts} times"
        return f"{text}: {self.error}" if self.error else text


def of(instance: str) -> list[Container]:
    """All containers of an instance."""
    return ours(f"{INSTANCE}={instance}")


def ours(label: str = INSTANCE) -> list[Container]:
    """All containers that carry a label of ours."""
    ids = docker.docker("ps", "-aq", "--no-trunc", "--filter", f"label={label}").split()
    return [found for one in ids if (found := look(one)) and found.ours]


def look(name: str) -> Container | None:
    """One container by name or ID."""
    found = docker.inspect("container", name)
    return _container(found) if found else None


def _container(found: dict[str, Any]) -> Container:
    state, labels = found["State"], found["Config"]["Labels"] or {}
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        instance=labels.get(INSTANCE, ""),
        release=labels.get(RELEASE, ""),
        project=labels.get(PROJECT, ""),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=state["ExitCode"],
        restarts=found.get("RestartCount", 0),
        started=state.get("StartedAt", ""),
        error=state.get("Error", ""),
        image=found["Image"],
        policy=((found.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name", ""),
    )


def create(release: StoredRelease) -> None:
    """Make a release's container under its own project, without starting it."""
    words = ("compose", "--project-name", release.project, "--file", release.compose)
    docker.docker(*words, "config", "--quiet")
    docker.docker(*words, "create", "--pull", "never", "--force-recreate")


def stop(container: Container, seconds: int) -> None:
    """See to it that nothing starts it again, and stop it: last, because then people wait."""
    _set_policy(container, "no")
    if container.status in ("running", "restarting", "paused"):
        docker.docker("stop", "--time", str(seconds), container.id, timeout=seconds + 60)


def start(container: Container) -> None:
    """Start it, to be started again after a crash or a reboot."""
    _set_policy(container, "unless-stopped")
    docker.docker("start", container.id, timeout=300)


def _set_policy(container: Container, policy: str) -> None:
    if container.policy != policy:
        docker.docker("update", "--restart", policy, container.id)


def rename(container: Container, name: str) -> None:
    """Give it a name that whoever had it before has to give up."""
    if container.name == name:
        return
    if (other := look(name)) and other.instance == container.instance:
        remove(other)
    docker.docker("rename", container.id, name)


def remove(container: Container) -> None:
    """Remove a container and its project's network; volumes and storage stay."""
    docker.docker("rm", "--force", container.id)
    if container.project:
        network = f"{container.project}_default"
        found = docker.inspect("network", network)
        if found and not found.get("Containers"):
            docker.docker("network", "rm", network)


def processes(container: Container) -> set[int]:
    """Process numbers on the host."""
    try:
        rows = docker.docker("top", container.id, "-eo", "pid").split()
    except docker.DockerError:
        return set()
    return {int(row) for row in rows if row.isdigit()}


def log(container: Container, lines: int = 15) -> list[str]:
    """The end of what it said, both streams in order."""
    try:
        found = docker.inspect("container", container.id) or {}
        path = found.get("LogPath", "")
        with open(path, "rb") as file:
            rows = file.read()[-65536:].splitlines()[-lines:]
        return [json.loads(row)["log"].rstrip("\n")[:400] for row in rows]
    except (docker.DockerError, OSError, ValueError, KeyError, TypeError):
        return []


def last_words(release: StoredRelease) -> list[str]:
    """The end of what a release's container said, as long as it has the instance's name."""
    found = look(release.container)
    return log(found) if found and found.release == release.id else []
