"""Root file systems: made once with mmdebstrap, kept as tars, imported as engine images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient

from tests.lab import debian_root
from tests.lab.places import cache, recipe_hash
from tests.lab.steps import step

BARE = "systemd,systemd-sysv,dbus,openssh-server,sudo,ca-certificates,iproute2,iptables,procps,kmod"
HOOKS = Path(__file__).with_name("root")


@dataclass(frozen=True)
class Root:
    """A root file system: its image's name, its Debian suite and what it holds beyond minbase."""

    name: str
    suite: str
    packages: str

    @property
    def tag(self) -> str:
        """Names the recipe, so that an image with this tag never needs building again."""
        return recipe_hash(self.name, self.suite, self.packages, HOOKS)

    @property
    def image(self) -> str:
        """The image's full name."""
        return f"gpuhost-lab/{self.name}:{self.tag}"

    @property
    def tar(self) -> Path:
        """Where the finished root is kept, for engines that have lost the image."""
        return cache() / "roots" / f"{self.name}-{self.tag}.tar"


ROOTS = {
    "debian12": Root("debian12", "bookworm", BARE),
    "debian13": Root("debian13", "trixie", BARE),
}


def ensure(client: DockerClient, names: list[str]) -> None:
    """Have these roots as images; two are made at a time."""
    missing = [ROOTS[name] for name in names if not client.images.list(ROOTS[name].image)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda root: _provide(client, root), missing))


def _provide(client: DockerClient, root: Root) -> None:
    if not root.tar.exists():
        with step(f"root {root.name}: mmdebstrap {root.suite}", announce=True):
            _build(root)
    with step(f"root {root.name}: imported as {root.image}"):
        client.api.import_image_from_file(str(root.tar), root.image.partition(":")[0], root.tag)


def _build(root: Root) -> None:
    downloads = cache() / "archives" / root.suite
    downloads.mkdir(parents=True, exist_ok=True)
    hooks = ["--skip=essential/unlink"]
    hooks += [debian_root.hook("setup", HOOKS / "bring", downloads)]
    hooks += [debian_root.hook("customize", HOOKS / "finish", downloads)]
    debian_root.make(root.tar, root.suite, root.packages, hooks=hooks)
