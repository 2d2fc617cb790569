"""All that `status`, `history` and `prune` need to know of a host, as one JSON document."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuhost.hostside import build_cache, docker, engine_api, files, holdings, inside
from gpuhost.hostside.docker import DockerError
from gpuhost.hostside.places import INSTANCES, Places
from gpuhost.hostside.records import Records

VERSION = 1
IDLE_LIMIT = 20.0
"""Seconds to wait for a WebUI's word whether it is busy."""
CONTAINERD = "/var/lib/containerd"
SNAPSHOTTER = "io.containerd.snapshotter"
"""An engine that says so keeps images there, not below its own data root."""


def report(root: Path = Path(INSTANCES)) -> dict[str, Any]:
    """What is there now. "engine" is "" or the reason why nothing is said of what it holds."""
    held, down = _held()
    running = {
        one["instance"]: one["id"]
        for one in held["containers"]
        if one["name"] == f"gpuhost-{one['instance']}" and one["status"] == "running"
    }
    names = {path.name for path in root.glob("*") if path.is_dir()}
    names |= {one["instance"] for one in held["containers"] if one["instance"]}
    busy = _busy(running)
    return {
        "version": VERSION,
        "now": time.time(),
        "engine": down,
        **held,
        "instances": {
            name: {**_remembered(Places(name, root)), "busy": busy.get(name, "stopped")}
            for name in sorted(names)
        },
    }


def disks() -> dict[str, dict[str, int]]:
    """Free and total bytes of the file system where images lie, by its path."""
    said = docker.docker("info", "--format", "{{.DockerRootDir}}\t{{json .DriverStatus}}")
    root, _, details = said.strip().partition("\t")
    path = CONTAINERD if SNAPSHOTTER in details else root
    try:
        room = shutil.disk_usage(path)
    except OSError:
        return {}
    return {path: {"free": room.free, "total": room.total}}


def _held() -> tuple[dict[str, Any], str]:
    nothing: dict[str, Any] = {
        "images": [],
        "containers": [],
        "networks": [],
        "build_cache": None,
        "disk": {},
    }
    if problem := engine_api.problem():
        return nothing, problem
    try:
        described = holdings.inspected_containers()
        return {
            "images": holdings.images(),
            "containers": [holdings.container(one) for one in described],
            "networks": holdings.networks(described),
            "build_cache": build_cache.size(),
            "disk": disks(),
        }, ""
    except DockerError as error:
        return nothing, f"down: {error}"


def _busy(running: dict[str, str]) -> dict[str, str]:
    """Whether each running WebUI has a job: idle, busy or unknown."""
    if not running:
        return {}
    with ThreadPoolExecutor(4) as pool:
        asked = {name: pool.submit(_asked, container) for name, container in running.items()}
    return {name: one.result() for name, one in asked.items()}


def _asked(container: str) -> str:
    try:
        answer = inside.ask(container, {"idle": 0}, lambda _: None, IDLE_LIMIT)
    except OSError:
        return "unknown"
    if answer.passed:
        return "idle"
    return "busy" if answer.reason.startswith("busy") else "unknown"


def _remembered(here: Places) -> dict[str, Any]:
    records = Records(here)
    proven = records.proven()
    pictures = [one.figures.get("seconds_per_picture") for one in proven[:1]]
    return {
        "journal": files.read_json(here.journal, {}),
        "proven": [asdict(one) for one in proven],
        "quarantine": [asdict(one) for one in records.quarantined()],
        "history": records.history(),
        "releases": [_stored(records, path) for path in sorted(here.releases.glob("*"))],
        "seconds_per_picture": next(iter(pictures), None),
    }


def _stored(records: Records, folder: Path) -> dict[str, Any]:
    """A release that can be had again; its image is "" where its file cannot be read."""
    release = records.release(folder.name)
    return {
        "id": folder.name,
        "image": release.image if release else "",
        "reference": release.reference if release else "",
        "size": release.size if release else 0,
        "at": _changed(folder),
    }


def _changed(folder: Path) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(folder.stat().st_mtime))
    except OSError:
        return ""
