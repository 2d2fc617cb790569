"""Removal of what was decided on: nothing is decided here, everything is checked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gpuhost.hostside import build_cache, docker, engine_api, removing
from gpuhost.hostside.guarding import AtWork, undisturbed
from gpuhost.hostside.places import INSTANCES
from gpuhost.hostside.report import disks

VERSION = 1
Work = Callable[[], str]


def prune(orders: dict[str, Any], root: Path = Path(INSTANCES)) -> dict[str, Any]:
    """
    Carry out orders in their turn: containers, images, networks, releases, build cache.

    :param orders: as `gpuhost.retention` makes them
    :raises ValueError: when they are of another version
    """
    if orders.get("version") != VERSION:
        raise ValueError("the orders are of another version; is switch.pyz of another version?")
    if problem := engine_api.problem():
        return {"version": VERSION, "engine": problem, "done": [], "freed": 0, "sizes": 0}
    before, sizes, done = _free(), 0, []
    for kind, name, size, instances, work in _works(orders, root):
        outcome, said = _outcome(work, instances, orders["journals"], root)
        sizes += size if outcome == "removed" else 0
        done.append({"kind": kind, "name": name, "outcome": outcome, "said": said})
    freed = max(0, _free() - before)
    return {"version": VERSION, "engine": "", "done": done, "freed": freed, "sizes": sizes}


def _works(orders: dict[str, Any], root: Path) -> Iterator[tuple[str, str, int, set[str], Work]]:
    """Kind, name, size, the instances that must not be at work, and what to do."""
    everybody = {path.name for path in root.glob("*")} | set(orders["journals"])
    for one in orders["containers"]:
        yield "container", one["name"], 0, {one["instance"]}, partial(removing.container, one)
    for one in orders["images"]:
        yield "image", one["name"], one["size"], everybody, partial(removing.image, one)
    for one in orders["networks"]:
        yield "network", one["name"], 0, {one["instance"]}, partial(removing.network, one)
    for one in orders["releases"]:
        name = f"{one['instance']} {one['id']}"
        yield "release", name, 0, {one["instance"]}, partial(removing.release, one, root)
    limit = orders["build_cache"]
    if limit is not None:
        yield "build cache", "build cache", 0, set(), partial(_cut, limit)


def _outcome(
    work: Work, instances: set[str], journals: dict[str, str], root: Path
) -> tuple[str, str]:
    try:
        with undisturbed(instances, journals, root):
            return "removed", work()
    except (AtWork, removing.Spared) as error:
        return "skipped", str(error)
    except (docker.DockerError, OSError) as error:
        return "failed", str(error)


def _cut(limit: int) -> str:
    return f"{build_cache.cut(limit)} bytes"


def _free() -> int:
    return sum(one["free"] for one in disks().values())
