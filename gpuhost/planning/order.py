"""What the switch on a host is told: a release as a whole, and how to get there."""

import base64
import json

from gpuhost.actions import SwitchInstance, WriteFile
from gpuhost.hostside.records import StoredFile, StoredRelease
from gpuhost.hostside.request import Request
from gpuhost.lock import LockedImage
from gpuhost.planning.registry_login import CLIENT
from gpuhost.planning.view import View
from gpuhost.release import Release

GIB = 1024**3
GPU_LIMIT = 60
BENCHMARK_LIMIT = 600
"""Seconds for a gate that has no setting of its own."""


def order(
    view: View, release: Release, image: LockedImage, why: str, recreate: bool
) -> SwitchInstance:
    """The switch of one instance to a release."""
    request = _request(view, release.id, why, recreate, image.layers)
    document = {"request": request.to_json(), "release": stored(view, release, image).to_json()}
    return SwitchInstance(release.instance.name, release.id, json.dumps(document).encode())


def again(
    view: View, instance: str, release: str, why: str, recreate: bool = False
) -> SwitchInstance:
    """The switch of an instance to a release that its host has stored."""
    document = {"request": _request(view, release, why, recreate).to_json()}
    return SwitchInstance(instance, release, json.dumps(document).encode())


def _request(
    view: View, release: str, why: str, recreate: bool, layers: tuple[tuple[str, int], ...] = ()
) -> Request:
    settings = view.settings
    return Request(
        release=release,
        kind=view.verb,
        why=why,
        by=view.by,
        recreate=recreate,
        layers=layers,
        ratio=settings.image_unpack_ratio,
        reserve=settings.image_reserve_gb * GIB,
        driver=view.state.gpus.driver,
        client=CLIENT if settings.image_registry_user else "",
        proof=settings.gate_gpu,
        drain_timeout=settings.drain_timeout,
        drain_on_timeout=settings.drain_on_timeout,
    )


def stored(view: View, release: Release, image: LockedImage) -> StoredRelease:
    """A release as a host keeps it."""
    settings = view.settings
    files = (release.compose_file, *release.mounted)
    return StoredRelease(
        id=release.id,
        instance=release.instance.name,
        container=release.container,
        image=release.image,
        reference=image.reference,
        compose=release.compose_file.path,
        files=tuple(_stored(file) for file in files),
        gpu_flags=tuple(release.gpu_flags),
        gates=gates(view),
        published=release.published,
        storage=settings.storage_of(release.instance),
        stop_timeout=settings.webui_stop_timeout,
        bake=settings.gate_bake,
        slowdown=settings.gate_slowdown,
        size=image.size,
        labels=dict(image.labels),
    )


def gates(view: View) -> dict[str, int]:
    """Deadline in seconds by gate, in the order in which they run."""
    settings = view.settings
    found = {"answers": settings.gate_start_timeout}
    if settings.gate_gpu:
        found["gpu"] = GPU_LIMIT
    if settings.gate_picture:
        found["picture"] = settings.gate_picture_timeout
    if settings.gate_slowdown:
        found["benchmark"] = BENCHMARK_LIMIT
    return found


def _stored(file: WriteFile) -> StoredFile:
    uid, _, gid = file.owner.partition(":")
    content = base64.b64encode(file.content).decode()
    return StoredFile(file.path, content, file.mode, int(uid), int(gid))
