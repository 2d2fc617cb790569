"""Docker's five packages, made of Debian trixie's real programs under Docker's names and paths."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import packages
from tests.lab.standins.deb import native_architecture

FILES = Path(__file__).parent
RELEASES = {"bookworm": "12", "trixie": "13"}
REVISIONS = ("1", "2")
# Trixie's programs run on bookworm but for these two, which need a newer libc.
OWN_OF_EACH_RELEASE = ("runc", "tini")
FROM_TRIXIE = ("docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx")
PLUGINS = "usr/libexec/docker/cli-plugins"
UNITS = "usr/lib/systemd/system"


@dataclass(frozen=True)
class Recipe:
    """One package: whose version it bears, and where its files come from (target: source)."""

    name: str
    origin: str
    contents: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    epoch: str = ""


RECIPES = (
    Recipe(
        "docker-ce",
        "docker.io",
        {
            "usr/bin/dockerd": "docker.io/usr/sbin/dockerd",
            "usr/bin/docker-proxy": "docker.io/usr/sbin/docker-proxy",
            "usr/bin/docker-init": "tini/usr/bin/tini-static",
            f"{UNITS}/docker.service": f"docker.io/{UNITS}/docker.service",
            f"{UNITS}/docker.socket": f"docker.io/{UNITS}/docker.socket",
        },
        {
            "Depends": "containerd.io (>= 1.6.4), docker-ce-cli, iptables, libc6 (>= 2.34), "
            "libsystemd0",
            "Recommends": "ca-certificates, git, pigz, procps, xz-utils",
            "Conflicts": "docker (<< 1.5~), docker-engine, docker.io, lxc-docker",
            "Replaces": "docker-engine",
        },
        ("docker.service", "docker.socket"),
        "5:",
    ),
    Recipe(
        "docker-ce-cli",
        "docker-cli",
        {"usr/bin/docker": "docker-cli/usr/bin/docker"},
        {
            "Depends": "libc6 (>= 2.34)",
            "Recommends": "docker-buildx-plugin, docker-compose-plugin",
            "Conflicts": "docker (<< 1.5~), docker-cli, docker-engine, docker.io, lxc-docker",
        },
        epoch="5:",
    ),
    Recipe(
        "containerd.io",
        "containerd",
        {
            "usr/bin/containerd": "containerd/usr/bin/containerd",
            "usr/bin/containerd-shim-runc-v2": "containerd/usr/bin/containerd-shim-runc-v2",
            "usr/bin/ctr": "containerd/usr/bin/ctr",
            "usr/bin/runc": "runc/usr/sbin/runc",
            "etc/containerd/config.toml": "config.toml",
            f"{UNITS}/containerd.service": f"containerd/{UNITS}/containerd.service",
        },
        {
            "Depends": "libc6 (>= 2.34), libseccomp2 (>= 2.5.0)",
            "Conflicts": "containerd, runc",
            "Provides": "containerd, runc",
            "Replaces": "containerd, runc",
        },
        ("containerd.service",),
    ),
    Recipe(
        "docker-buildx-plugin",
        "docker-buildx",
        {f"{PLUGINS}/docker-buildx": f"docker-buildx/{PLUGINS}/docker-buildx"},
        {"Depends": "libc6 (>= 2.34)", "Enhances": "docker-ce-cli"},
    ),
    Recipe(
        "docker-compose-plugin",
        "docker-compose",
        {f"{PLUGINS}/docker-compose": f"docker-compose/{PLUGINS}/docker-compose"},
        {"Depends": "libc6 (>= 2.34)", "Enhances": "docker-ce-cli"},
    ),
)


def build(scratch: Path) -> dict[str, list[Path]]:
    """Make all packages of all releases below `scratch`; the files by release."""
    versions = _unpack(scratch)
    jobs = [
        (release, recipe, revision)
        for release in RELEASES
        for recipe in RECIPES
        for revision in REVISIONS
    ]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda job: _package(scratch, versions, *job), jobs)
        built = [(release, path) for (release, *_), path in zip(jobs, made, strict=True)]
    return {release: [path for name, path in built if name == release] for release in RELEASES}


def _unpack(scratch: Path) -> dict[str, str]:
    versions = {}
    for suite in RELEASES:
        names = OWN_OF_EACH_RELEASE + (FROM_TRIXIE if suite == "trixie" else ())
        downloaded = packages.download(suite, names, scratch / "downloads" / suite)
        for name, path in downloaded.items():
            target = scratch / "unpacked" / suite / name
            target.mkdir(parents=True)
            subprocess.run(["dpkg-deb", "--extract", str(path), str(target)], check=True)
            versions[name] = packages.field(path, "Version")
    unit = scratch / "unpacked/trixie/docker.io" / UNITS / "docker.service"
    start = "/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"
    unit.write_text(re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={start}", unit.read_text()))
    return versions


def _package(
    scratch: Path, versions: Mapping[str, str], release: str, recipe: Recipe, revision: str
) -> Path:
    found = re.match(r"[\d.]+", versions[recipe.origin])
    upstream = found.group().strip(".") if found else "0"
    plain = f"{upstream}-{revision}~debian.{RELEASES[release]}~{release}"
    root = scratch / "trees" / f"{recipe.name}_{plain}"
    for target, source in recipe.contents.items():
        _place(scratch, release, source, root / target)
    _control(root, recipe, f"{recipe.epoch}{plain}")
    package = scratch / f"{recipe.name}_{plain}_{native_architecture()}.deb"
    # Hundreds of megabytes: compressed for speed, not for size.
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build"]
    subprocess.run([*command, str(root), str(package)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return package


def _place(scratch: Path, release: str, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    name = source.partition("/")[0]
    if name == source:
        shutil.copy(FILES / source, target)
        return
    suite = release if name in OWN_OF_EACH_RELEASE else "trixie"
    shutil.copy2(scratch / "unpacked" / suite / source, target)


def _control(root: Path, recipe: Recipe, version: str) -> None:
    control = {
        "Package": recipe.name,
        "Version": version,
        "Architecture": native_architecture(),
        "Maintainer": "gpuhost lab <lab@gpuhost.test>",
        "Section": "admin",
        "Priority": "optional",
        **recipe.fields,
        "Description": f"{recipe.name} (Debian's {recipe.origin} under Docker's name)",
    }
    folder = root / "DEBIAN"
    folder.mkdir(parents=True)
    (folder / "control").write_text("".join(f"{k}: {v}\n" for k, v in control.items()))
    configuration = sorted(f"/{path}\n" for path in recipe.contents if path.startswith("etc/"))
    if configuration:
        (folder / "conffiles").write_text("".join(configuration))
    for name in ("postinst", "prerm", "postrm") if recipe.units else ():
        script = (FILES / name).read_text().replace("@UNITS@", " ".join(recipe.units))
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
