"""The image: resolved, fit for these GPUs, small enough for this disk. The switch pulls it."""

from gpuhost.actions import PullImage
from gpuhost.compat import ImageNeeds, Objection, objections
from gpuhost.lock import LockedImage, key
from gpuhost.plan import Lines, Refusal, Stage
from gpuhost.planning.view import View

GIB = 1024**3


def lines(view: View) -> Lines:
    """Refusals where the image cannot serve this host.

    Whether there is room for an image that shares layers with one that is here, only the host can
    tell: the switch does.
    """
    image = view.image(view.settings.image_reference)
    if image is None:
        yield unresolved(view, Stage.IMAGE, view.settings.image_reference)
        return
    yield from _fit(view, image)
    if not present(view, image) and not _relatives(view, image):
        yield from _room(view, image)


def present(view: View, image: LockedImage) -> bool:
    """Whether the host has exactly this image."""
    return f"{familiar(repository(image.reference))}@{image.digest}" in view.state.images


def _relatives(view: View, image: LockedImage) -> bool:
    """Whether another image of its repository is here, with which it may share layers."""
    name = familiar(repository(image.reference))
    return any(one.rpartition("@")[0] == name for one in view.state.images)


def pull(image: LockedImage) -> PullImage:
    """The pull of an image by its digest."""
    return PullImage(f"{repository(image.reference)}@{image.digest}", image.size)


def repository(reference: str) -> str:
    """A reference without its tag and digest."""
    bare = reference.partition("@")[0]
    path, slash, name = bare.rpartition("/")
    return path + slash + name.partition(":")[0]


def familiar(name: str) -> str:
    """A repository as `docker image ls` shows it."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def short(digest: str) -> str:
    """The first 12 digits of a digest."""
    return digest.removeprefix("sha256:")[:12]


def gigabytes(size: int) -> str:
    """A size for people: 1.2 GB, 340 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def unresolved(view: View, stage: Stage, reference: str) -> Refusal:
    """Why there is no digest for a reference."""
    name = key(reference, view.platform)
    problem = view.lock.problems.get(name, f"{reference}: it was not resolved")
    setting = "toolkit_probe_image" if stage is Stage.PROOF else "image_reference"
    return Refusal(stage, "image", problem, f"correct {setting}, or its registry's login")


def needs_of(view: View, image: LockedImage) -> ImageNeeds:
    """What the image needs: its labels and environment, or the settings where they do not say."""
    labels = dict(image.labels)
    if view.settings.image_cuda:
        labels.setdefault("org.gpuhost.cuda", view.settings.image_cuda)
    if view.settings.image_arch_list:
        labels.setdefault("org.gpuhost.arch-list", view.settings.image_arch_list)
    return ImageNeeds.of(labels, image.env)


def _fit(view: View, image: LockedImage) -> Lines:
    needs = needs_of(view, image)
    said = set()
    for card in view.state.gpus.cards:
        for objection in objections(needs, card.driver, card.capability, card.name):
            if str(objection) not in said:
                said.add(str(objection))
                yield Refusal(Stage.IMAGE, "image", found_of(objection), objection.remedy)


def found_of(objection: Objection) -> str:
    """What the objection saw against what it wanted."""
    prefix = "driver " if objection.subject == "driver" else ""
    return f"{prefix}{objection.found.removeprefix(prefix)}, needs {objection.wanted}"


def _room(view: View, image: LockedImage) -> Lines:
    root = view.state.engine.data_root
    disk = view.state.disks.get(root) or view.state.disks.get("/var/lib/docker")
    settings = view.settings
    need = int(image.size * settings.image_unpack_ratio) + settings.image_reserve_gb * GIB
    if disk and disk.free < need:
        yield Refusal(
            Stage.IMAGE, f"disk {disk.mount}",
            f"{gigabytes(disk.free)} free, {gigabytes(need)} needed"
            f" ({gigabytes(image.size)} x {settings.image_unpack_ratio:g} unpacked"
            f" + {settings.image_reserve_gb} GiB reserve)",
            "make room, move the engine's data-root, or lower image_reserve_gb",
        )  # fmt: skip
