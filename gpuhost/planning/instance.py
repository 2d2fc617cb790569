"""Instances: storage, compose file, container, proof. Is what runs what should run?"""

from collections.abc import Iterator

from gpuhost.actions import MakeDirectory, RemoveInstance
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.image import GIB, gigabytes, present, pull, short
from gpuhost.planning.order import gates, order
from gpuhost.planning.records import proven_releases, quarantined_releases
from gpuhost.planning.view import View
from gpuhost.release import LIBRARY, Release, bracketed
from gpuhost.settings import Instance
from gpuhost.state import Container

WORLD_WRITABLE = 0o002


def lines(view: View) -> Lines:
    """Steps for every instance, after those whose container is no longer wanted."""
    yield from _leftovers(view)
    for instance in view.settings.webui_instances:
        if release := release_of(view, instance):
            yield from _instance(view, release)


def release_of(view: View, instance: Instance) -> Release | None:
    """What an instance should run; None while its image is not resolved."""
    image = view.image(view.settings.image_reference)
    if image is None:
        return None
    login = f"{view.settings.webui_user}:{view.secrets.webui}" if view.settings.webui_user else ""
    return Release(instance, view.settings, pull(image).reference, view.access, login)


def _instance(view: View, release: Release) -> Lines:
    refusals = list(_refusals(view, release))
    yield from refusals
    if refusals:
        return
    yield from _storage(view, release)
    subject = f"instance {release.instance.name}"
    image = view.image(view.settings.image_reference)
    files = [file for file in (release.compose_file, *release.mounted) if drift(view.state, file)]
    folder = MakeDirectory(release.compose_file.path.rpartition("/")[0], 0o700, "0:0")
    library = MakeDirectory(f"{LIBRARY}/inside", 0o755, "0:0")
    now, why = condition(view, release)
    recreate = bool(now)
    if not now and image and not present(view, image):
        now, why = "image missing", "without it the container cannot be made again"
    if not now and not _proven(view, release):
        now, why = "unproven", ", ".join(gates(view))
    if now and image:
        yield Step(
            Stage.INSTANCE, subject, now, f"release {release.id} proven", why,
            (folder, library, order(view, release, image, f"{now}: {why}", recreate)),
        )  # fmt: skip
    elif files:
        yield Step(
            Stage.INSTANCE, subject, f"{files[0].path.rpartition('/')[2]} differs",
            f"release {release.id}", "its files are not as rendered", (folder, library, *files),
        )  # fmt: skip


def condition(view: View, release: Release, name: str = "") -> tuple[str, str]:
    """
    What is wrong with the running container and why that matters; ("", "") when nothing is.

    :param name: the release it should be of, if not this one
    """
    container = view.state.containers.get(release.container)
    if container is None:
        return "missing", "there is no container yet"
    running = container.labels.get("org.gpuhost.release", "")
    if running != (name or release.id):
        return f"release {running or 'unknown'}", _difference(container, release)
    if container.status != "running":
        return _stopped(container), "it should be running"
    if container.health == "unhealthy":
        return "unhealthy", "its health check fails"
    if not _sees_gpus(view, release, container):
        return "lost its GPU", container.gpu_error or "it sees other GPUs than it was given"
    return "", ""


def _difference(container: Container, release: Release) -> str:
    found, wanted = (short(image.rpartition("@")[2]) for image in (container.image, release.image))
    return f"image {found} -> {wanted}" if found != wanted else "its settings changed"


def _stopped(container: Container) -> str:
    text = f"{container.status}, exit code {container.exit_code}"
    return f"{text}: {container.error}" if container.error else text


def _sees_gpus(view: View, release: Release, container: Container) -> bool:
    if container.gpus_seen is None:
        return False
    seen = {_uuid(line) for line in container.gpus_seen}
    return seen == set(_given(view, release))


def _given(view: View, release: Release) -> list[str]:
    gpus, chosen = view.state.gpus, release.instance.gpus
    if chosen == "all":
        return [_uuid(line) for line in gpus.listing]
    whole = [card.uuid for card in gpus.cards if card.index in chosen or card.uuid in chosen]
    return [*whole, *_slices(gpus.listing, chosen)]


def _slices(listing: tuple[str, ...], chosen: list[int | str]) -> Iterator[str]:
    """Chosen MIG devices; `nvidia-smi -L` shows each below the GPU it is a part of."""
    parent = ""
    for line in listing:
        if _uuid(line).startswith("GPU-"):
            parent = _uuid(line)
        elif _uuid(line) in chosen:
            yield from (parent, _uuid(line))


def _uuid(line: str) -> str:
    return line.rpartition("UUID: ")[2].rstrip(")")


def _refusals(view: View, release: Release) -> Iterator[Refusal]:
    instance, state = release.instance, view.state
    subject = f"instance {instance.name}"
    known = {card.index for card in state.gpus.cards} | {card.uuid for card in state.gpus.cards}
    known |= {_uuid(line) for line in state.gpus.listing}
    if instance.gpus != "all" and not state.gpus.problem:
        for gpu in instance.gpus:
            if gpu not in known:
                yield Refusal(
                    Stage.INSTANCE, subject, f"there is no GPU {gpu}",
                    f"choose among {', '.join(str(card.index) for card in state.gpus.cards)}",
                )  # fmt: skip
    container = state.containers.get(release.container)
    if container and container.labels.get("org.gpuhost.instance") != instance.name:
        yield Refusal(
            Stage.INSTANCE, subject, f"a foreign container is called {release.container}",
            "rename it, or this instance",
        )  # fmt: skip
    yield from _failed_before(view, release)
    if taken := _taken(view, release):
        yield Refusal(
            Stage.INSTANCE, subject, f"port {taken} is taken by another program",
            "stop it, or choose another port for this instance",
        )  # fmt: skip
    disk = state.disks.get(release.settings.storage_of(instance))
    reserve = release.settings.storage_reserve_gb * GIB
    if disk and disk.free < reserve:
        yield Refusal(
            Stage.INSTANCE, f"disk {disk.mount}",
            f"{gigabytes(disk.free)} free, {gigabytes(reserve)} needed (storage_reserve_gb)",
            "make room, or choose another storage_path",
        )  # fmt: skip


def _failed_before(view: View, release: Release) -> Iterator[Refusal]:
    for one in quarantined_releases(view.state, release.instance.name):
        if one.release == release.id:
            yield Refusal(
                Stage.INSTANCE, f"instance {release.instance.name}",
                f"release {one.release} (image {short(one.digest)}) is in quarantine:"
                f" gate {one.gate} failed on {one.at[:10]}: {one.reason}",
                "change what was wrong, run gpuhost.tasks.update once there is a newer image,"
                " or lift it with gpuhost.tasks.unquarantine",
            )  # fmt: skip


def _taken(view: View, release: Release) -> str:
    address, port = release.published
    ours = {
        container.labels.get("org.gpuhost.published", "")
        for container in view.state.containers.values()
        if container.status == "running"
    }
    for listening, number in sorted(view.state.ports):
        if number != port or not _collides(address, listening):
            continue
        if not any(label.endswith(f":{port}") for label in ours):
            return f"{bracketed(listening)}:{number}"
    return ""


def _collides(wanted: str, listening: str) -> bool:
    anything = {"0.0.0.0", "::"}  # noqa: S104
    return wanted == listening or wanted in anything or listening in anything


def _storage(view: View, release: Release) -> Lines:
    settings = release.settings
    path = settings.storage_of(release.instance)
    owner = f"{settings.storage_uid}:{settings.storage_gid}"
    found = view.state.file(path)
    if found.kind == "missing":
        now, mode = "missing", 0o750
    elif found.owner != owner:
        now, mode = f"owner {found.owner}", found.mode & ~WORLD_WRITABLE
    elif found.mode & WORLD_WRITABLE:
        now, mode = f"mode {found.mode:04o}", found.mode & ~WORLD_WRITABLE
    else:
        return
    yield Step(
        Stage.INSTANCE, f"storage {path}", now, f"owner {owner}, not world-writable",
        "what is in it runs as code", (MakeDirectory(path, mode, owner),),
    )  # fmt: skip


def _proven(view: View, release: Release) -> bool:
    found = proven_releases(view.state, release.instance.name)
    return any(one.release == release.id for one in found)


def _leftovers(view: View) -> Lines:
    wanted = {instance.name for instance in view.settings.webui_instances}
    gone: set[str] = set()
    for container in view.state.containers.values():
        name = container.labels.get("org.gpuhost.instance", "")
        if name and name not in wanted | gone:
            gone.add(name)
            yield Step(
                Stage.INSTANCE, f"instance {name}", container.status, "removed",
                "the settings no longer name it; its storage stays", (RemoveInstance(name),),
            )  # fmt: skip
