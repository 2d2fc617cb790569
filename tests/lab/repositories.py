"""The lab's signed apt repositories: Docker's, NVIDIA's, Debian's drivers, and two to refuse."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.lab import docker_packages, machine, packages, signing
from tests.lab.places import STANDINS, cache, recipe_hash
from tests.lab.standins import deb, driver, toolkit
from tests.lab.steps import step

TOOLKIT_VERSIONS = ("1.17.8", "1.19.1", "1.20.0")
DRIVER_SUITES = ("bookworm", "trixie")
FLAT = Path("stable/deb")
TOOLS = {"apt-ftparchive": "apt-utils", "dpkg-deb": "dpkg"}


def ensure() -> tuple[dict[str, Path], dict[str, str]]:
    """Have every repository built: folders by the path they are served at, and fingerprints."""
    machine.need(TOOLS, "making the lab's apt repositories")
    keys = signing.ensure()
    here = Path(__file__)
    architecture = deb.native_architecture()
    common = (here, STANDINS / "deb.py", " ".join(keys.values()), architecture)
    recipes: dict[str, tuple[Callable[[Path], None], tuple[Path, ...]]] = {
        "docker": (_docker, (docker_packages.FILES, Path(packages.__file__))),
        "nvidia": (_nvidia, (STANDINS / "toolkit",)),
        "debian-nonfree": (_driver, (STANDINS / "driver", STANDINS / "nvidia-smi")),
    }
    folders = {
        name: _ensure(name, recipe_hash(*common, *sources), make)
        for name, (make, sources) in recipes.items()
    }
    signing.release_agent()
    nvidia = folders.pop("nvidia")
    refused = {f"nvidia-{kind}": nvidia / kind for kind in ("tampered", "wrongkey")}
    served = {"docker/linux/debian": folders.pop("docker"), "nvidia": nvidia / "good"}
    return {**served, **refused, **folders}, keys


def _ensure(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    folder = cache() / "repositories" / f"{name}-{recipe}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for half_made in folder.parent.glob(f".{name}-*"):
        shutil.rmtree(half_made)
    with (
        step(f"apt repository {name}: built", announce=name == "docker"),
        tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as scratch,
    ):
        tree = Path(scratch) / "tree"
        tree.mkdir(mode=0o755)
        make(tree)
        tree.replace(folder)
    return folder


def _docker(tree: Path) -> None:
    scratch = tree.with_name("scratch")
    for suite, files in docker_packages.build(scratch).items():
        pool = Path("dists") / suite / "pool" / "stable" / deb.native_architecture()
        _move(files, tree / pool)
        _index(tree, suite, "stable", pool, "docker", "Docker")
    (tree / "gpg").write_text(signing.public_key("docker"))


def _driver(tree: Path) -> None:
    pool = Path("pool/non-free")
    (tree / pool).mkdir(parents=True)
    driver.build(tree / pool)
    for suite in DRIVER_SUITES:
        _index(tree, suite, "non-free", pool, "debian", "Debian")
    (tree / "gpgkey").write_text(signing.public_key("debian"))


def _nvidia(tree: Path) -> None:
    good = tree / "good"
    flat = good / FLAT / deb.native_architecture()
    flat.mkdir(parents=True)
    for version in TOOLKIT_VERSIONS:
        toolkit.build(version, flat)
    _write_packages(flat, ".", flat)
    _release(flat, "nvidia", {"Origin": "https://nvidia.github.io/libnvidia-container"})
    (good / "gpgkey").write_text(signing.public_key("nvidia"))
    for kind in ("tampered", "wrongkey"):
        shutil.copytree(good, tree / kind)
    changed = tree / "wrongkey" / flat.relative_to(good)
    signing.sign_release("stranger", changed / "Release")
    for package in (tree / "tampered").rglob("nvidia-container-toolkit_*.deb"):
        _flip_last_byte(package)


def _flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)


def _index(tree: Path, suite: str, component: str, pool: Path, key: str, origin: str) -> None:
    architecture = deb.native_architecture()
    top = tree / "dists" / suite
    _write_packages(tree, str(pool), top / component / f"binary-{architecture}")
    fields = {
        "Origin": origin,
        "Suite": suite,
        "Codename": suite,
        "Components": component,
        "Architectures": architecture,
    }
    _release(top, key, fields)


def _write_packages(base: Path, pool: str, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    listing = _ftparchive(base, "packages", pool)
    (into / "Packages").write_bytes(listing)
    (into / "Packages.gz").write_bytes(gzip.compress(listing, mtime=0))


def _release(folder: Path, key: str, fields: dict[str, str]) -> None:
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in fields.items()]
    release = _ftparchive(folder, "release", *options, ".")
    (folder / "Release").write_bytes(release)
    signing.sign_release(key, folder / "Release")


def _ftparchive(folder: Path, *arguments: str) -> bytes:
    command = ["apt-ftparchive", *arguments]
    environment = {**os.environ, "APT_CONFIG": os.devnull}
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment)
    if done.returncode:
        raise machine.MachineError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return done.stdout


def _move(files: Iterable[Path], into: Path) -> None:
    into.mkdir(parents=True)
    for path in files:
        path.replace(into / path.name)
