"""The pull: room for it, bytes as they come, and another try where one may help."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gpuhost.hostside import docker
from gpuhost.hostside.engine_api import Socket
from gpuhost.hostside.records import StoredRelease
from gpuhost.hostside.request import Request

TRIES = 6
LONGEST_PAUSE = 60.0
STALLED = 300.0
"""Seconds without a word from the engine after which a pull is begun anew."""
LASTING = re.compile(
    r"manifest unknown|not found|unauthorized|denied|no space left|no matching manifest"
    r"|invalid reference|cannot overwrite digest|x509",
    re.IGNORECASE,
)
DOCKER_HUB = "https://index.docker.io/v1/"
Progress = Callable[[int, str], None]


class PullFailed(Exception):
    """There is no image; what runs was not touched."""


def pull(release: StoredRelease, request: Request, progress: Progress) -> None:
    """
    Have the image here, under its keep tag.

    :raises PullFailed: with the engine's words, or with the room it lacks
    """
    if not is_here(release):
        check_room(release, request)
        _with_patience(release, request, progress)
    docker.docker("tag", release.image, release.keep_tag)


def is_here(release: StoredRelease) -> bool:
    """Whether the host has the image."""
    return docker.inspect("image", release.image) is not None


def check_room(release: StoredRelease, request: Request) -> None:
    """:raises PullFailed: with what is needed, free and reclaimable"""
    missing = missing_bytes(release, request)
    needed = int(missing * request.ratio) + request.reserve
    root = docker.data_root()
    status = os.statvfs(root)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        raise PullFailed(
            f"{root}: {megabytes(free)} free, {megabytes(needed)} needed"
            f" ({megabytes(missing)} missing x {request.ratio:g} unpacked"
            f" + {megabytes(request.reserve)} reserve);"
            f" {megabytes(reclaimable(release))} are reclaimable with gpuhost.tasks.prune"
        )


def missing_bytes(release: StoredRelease, request: Request) -> int:
    """Compressed bytes of the layers that no image here begins with."""
    if not request.layers:
        return release.size
    wanted = [name for name, _ in request.layers]
    shared = max((_common(wanted, layers) for layers in _local_layers()), default=0)
    return sum(size for _, size in request.layers[shared:])


def reclaimable(release: StoredRelease) -> int:
    """Bytes of this repository's images that no container uses."""
    used = set(docker.docker("ps", "-a", "--no-trunc", "--format", "{{.Image}}").split())
    name = release.repository.removeprefix("docker.io/").removeprefix("library/")
    rows = docker.docker("image", "ls", "--format", "{{json .}}", "--digests", name)
    unused = set()
    for row in map(json.loads, rows.splitlines()):
        if f"{release.repository}@{row['Digest']}" not in used:
            unused.add(row["ID"])
    if not unused:
        return 0
    sizes = docker.docker("image", "inspect", "--format", "{{.Size}}", *sorted(unused))
    return sum(int(size) for size in sizes.split())


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _common(wanted: list[str], layers: list[str]) -> int:
    count = 0
    for short, layer in zip(wanted, layers):  # noqa: B905 - `strict` is of Python 3.10
        if not _digits(layer).startswith(_digits(short)):
            break
        count += 1
    return count


def _digits(name: str) -> str:
    return name.rpartition(":")[2]


def _local_layers() -> list[list[str]]:
    names = docker.docker("image", "ls", "--all", "--quiet", "--no-trunc").split()
    if not names:
        return []
    template = "{{json .RootFS.Layers}}"
    rows = docker.docker("image", "inspect", "--format", template, *sorted(set(names)))
    return [json.loads(row) or [] for row in rows.splitlines()]


def _with_patience(release: StoredRelease, request: Request, progress: Progress) -> None:
    said = ""
    for number in range(TRIES):
        if number:
            pause = min(2.0**number, LONGEST_PAUSE)
            progress(0, f"{said}; try {number + 1} of {TRIES} in {pause:.0f} s")
            time.sleep(pause)
        try:
            docker.wait()
            _once(release, request, progress)
            return
        except (OSError, http.client.HTTPException, docker.DockerError) as error:
            said = f"the engine went away ({error or type(error).__name__})"
        except PullFailed as error:
            said = str(error)
            if LASTING.search(said):
                break
    raise PullFailed(f"{release.image.partition('@')[0]}: {said}")


def _once(release: StoredRelease, request: Request, progress: Progress) -> None:
    layers: dict[str, int] = {}
    shown = 0.0
    for event in _events(release, request):
        if "error" in event:
            raise PullFailed(docker.last_line(str(event["error"])))
        name, status = event.get("id", ""), event.get("status", "")
        if status == "Downloading":
            layers[name] = int((event.get("progressDetail") or {}).get("current", 0))
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            progress(sum(layers.values()), status.lower())
    if not is_here(release):
        raise PullFailed("the engine says that it pulled, and there is no image")
    progress(sum(layers.values()), "pulled")


def _events(release: StoredRelease, request: Request) -> Iterator[dict[str, Any]]:
    """What the engine says of a pull, one JSON object a line."""
    connection = Socket("localhost", timeout=STALLED)
    path = f"/images/create?fromImage={quote(release.repository, safe='')}&tag={release.digest}"
    login = _login(request.client, release.repository)
    headers = (
        {"X-Registry-Auth": login, "Content-Length": "0"} if login else {"Content-Length": "0"}
    )
    try:
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise PullFailed(_message(answer.read(65536)))
        while line := answer.readline():
            if line.strip():
                yield _event(line)
    finally:
        connection.close()


def _event(line: bytes) -> dict[str, Any]:
    """:raises http.client.HTTPException: when it was cut off"""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise http.client.IncompleteRead(line)
    return found


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return docker.last_line(body.decode("utf-8", "replace")) or "the engine refused"


def _login(folder: str, repository: str) -> str:
    """The registry's login as the engine wants it, from the client's config; "" for none."""
    if not folder:
        return ""
    first, slash, _ = repository.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    registry = first if named and first != "docker.io" else DOCKER_HUB
    try:
        document = json.loads(Path(folder, "config.json").read_bytes())
        pair = base64.b64decode(document["auths"][registry]["auth"]).decode()
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    user, _, password = pair.partition(":")
    if not user:
        return ""
    text = json.dumps({"username": user, "password": password, "serveraddress": registry})
    return base64.urlsafe_b64encode(text.encode()).decode()
