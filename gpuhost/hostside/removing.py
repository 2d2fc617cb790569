"""One thing less on a host: each looked at once more, right before it goes, and never forced."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from gpuhost.hostside import docker, holdings
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Records

STOPPED = ("created", "exited", "dead")
LIMIT = 1800.0
"""Seconds that the engine may take for one image."""
GONE = "it was gone already"


class Spared(Exception):
    """Why something was left, in one line."""


def container(order: dict[str, Any]) -> str:
    """Remove one of our stopped containers; its volumes stay. What is to be said of it."""
    found = docker.inspect("container", order["id"])
    if found is None:
        return GONE
    seen = holdings.container(found)
    if (seen["name"], seen["instance"]) != (order["name"], order["instance"]):
        raise Spared(f"it is now called {seen['name']}")
    if seen["status"] not in STOPPED:
        raise Spared(f"it is {seen['status']}")
    docker.docker("rm", order["id"])
    return ""


def image(order: dict[str, Any]) -> str:
    """Remove an image by each of its names; the engine itself refuses one that is used."""
    found = docker.inspect("image", order["id"])
    if found is None:
        return GONE
    seen = holdings.image(found)
    names = [*seen["tags"], *seen["references"]]
    if more := sorted(set(names) - set(order["names"])):
        raise Spared(f"it is now also called {more[0]}")
    users = [one["Name"] for one in holdings.inspected_containers() if one["Image"] == order["id"]]
    if users:
        raise Spared(f"container {users[0].lstrip('/')} uses it")
    for name in names or [order["id"]]:
        _unless_gone("image", "rm", name)
    if docker.inspect("image", order["id"]) is not None:
        raise docker.DockerError("docker image: it is still there without a name")
    return ""


def network(order: dict[str, Any]) -> str:
    """Remove a network that no container names."""
    found = [one for one in holdings.networks(holdings.inspected_containers())
             if one["id"] == order["id"]]  # fmt: skip
    if not found:
        return GONE
    if found[0]["containers"]:
        raise Spared("a container uses it")
    _unless_gone("network", "rm", order["id"])
    return ""


def release(order: dict[str, Any], root: Path) -> str:
    """Forget a release and remove what was stored of it."""
    name, here = order["id"], Places(order["instance"], root)
    if order["image"] and docker.inspect("image", order["image"]) is not None:
        raise Spared("its image stayed")
    for one in holdings.inspected_containers():
        seen = holdings.container(one)
        if (seen["instance"], seen["release"]) == (order["instance"], name):
            raise Spared(f"container {seen['name']} is of it")
    Records(here).forget({name})
    folder = here.releases / name
    if folder.parent != here.releases or name in ("", ".", "..") or folder.is_symlink():
        raise Spared("it is no folder of a release")
    if folder.is_dir():
        shutil.rmtree(folder)
    return ""


def _unless_gone(*words: str) -> None:
    try:
        docker.docker(*words, timeout=LIMIT)
    except docker.DockerError as error:
        if "no such" not in str(error).lower() and "not found" not in str(error).lower():
            raise
