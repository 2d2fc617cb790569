"""What the engine holds: images, containers and networks, in two calls each."""

from __future__ import annotations

import calendar
import json
import re
import time
from typing import Any

from gpuhost.hostside import engine_api
from gpuhost.hostside.containers import INSTANCE, PROJECT, RELEASE
from gpuhost.hostside.docker import DockerError, docker

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
NEVER = "0001-"
LABEL = "org.gpuhost."
SHARING = 60.0
"""Seconds for the engine to say what images share."""
TRIES = 5
"""How often to list anew what was removed between listing and looking."""


def images() -> list[dict[str, Any]]:
    """Every image; of those without a name only such that no other is built upon."""
    found = _inspected("image", "image", "ls", "--all", "--quiet", "--no-trunc")
    parents = {one.get("Parent") for one in found}
    shared = _shared()
    return [
        {**image(one), "own": _own(one, shared)}
        for one in found
        if _names(one) or one["Id"] not in parents
    ]


def inspected_containers() -> list[dict[str, Any]]:
    """Every container of the host, whoever made it, as the engine describes it."""
    return _inspected("container", "ps", "--all", "--quiet", "--no-trunc")


def container(found: dict[str, Any]) -> dict[str, Any]:
    """What matters of one of them; `ended` is 0 while it runs."""
    state, labels = found["State"], found["Config"].get("Labels") or {}
    ended = moment(state.get("FinishedAt", "")) or moment(found.get("Created", ""))
    return {
        "id": found["Id"],
        "name": found["Name"].lstrip("/"),
        "image": found["Image"],
        "status": state["Status"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "instance": labels.get(INSTANCE, ""),
        "release": labels.get(RELEASE, ""),
        "started": moment(state.get("StartedAt", "")),
        "ended": 0 if state["Status"] in ("running", "paused", "restarting") else ended,
    }


def networks(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Networks of compose projects that may be ours, with the containers that name them.

    :param found: `inspected_containers()`; a network itself names only containers that run
    """
    rows = docker(
        "network", "ls", "--no-trunc", "--filter", f"label={PROJECT}",
        "--format", '{{.ID}}\t{{.Name}}\t{{.Label "' + PROJECT + '"}}',
    ).splitlines()  # fmt: skip
    parts = [row.split("\t") for row in rows]
    return [
        {"id": key, "name": name, "project": project, "containers": _attached(key, name, found)}
        for key, name, project in parts
        if project.startswith("gpuhost-")
    ]


def moment(text: str) -> int:
    """Seconds since the epoch of what the engine calls a time; 0 for never."""
    if text.startswith(NEVER) or not MOMENT.match(text):
        return 0
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def _shared() -> dict[str, int]:
    """Bytes of each image that another one has too; empty where the engine cannot say."""
    try:
        rows = engine_api.ask("GET", "/images/json?all=1&shared-size=1", SHARING)
        return {one["Id"]: int(one["SharedSize"]) for one in rows if one.get("SharedSize", -1) >= 0}
    except (DockerError, TypeError, KeyError):
        return {}


def _own(found: dict[str, Any], shared: dict[str, int]) -> int | None:
    size = int(found.get("Size") or 0)
    return max(0, size - shared[found["Id"]]) if found["Id"] in shared else None


def _inspected(kind: str, *listing: str) -> list[dict[str, Any]]:
    for left in reversed(range(TRIES)):
        names = sorted(set(docker(*listing).split()))
        try:
            found: list[dict[str, Any]] = (
                json.loads(docker(kind, "inspect", *names)) if names else []
            )
            return found
        except DockerError as error:
            if not left or "no such" not in str(error).lower():
                raise
    return []


def _names(found: dict[str, Any]) -> list[str]:
    return [*(found.get("RepoTags") or ()), *(found.get("RepoDigests") or ())]


def image(found: dict[str, Any]) -> dict[str, Any]:
    """What matters of an image."""
    labels = (found.get("Config") or {}).get("Labels") or {}
    return {
        "id": found["Id"],
        "references": sorted(one for one in found.get("RepoDigests") or () if "<none>" not in one),
        "tags": sorted(one for one in found.get("RepoTags") or () if "<none>" not in one),
        "labels": {key: value for key, value in labels.items() if key.startswith(LABEL)},
        "size": int(found.get("Size") or 0),
        "created": str(found.get("Created") or ""),
    }


def _attached(key: str, name: str, found: list[dict[str, Any]]) -> list[str]:
    """Containers by what they were made with: a stopped one needs its network to start again."""
    return sorted(
        one["Id"]
        for one in found
        for called, end in ((one.get("NetworkSettings") or {}).get("Networks") or {}).items()
        if called == name or key == (end or {}).get("NetworkID")
    )
