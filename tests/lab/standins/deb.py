"""Builds small Debian packages from files held in memory, the same bytes every time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EPOCH = "1790000000"


@dataclass(frozen=True)
class File:
    """Text that a package installs, and its mode."""

    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Package:
    """A binary package: control fields, files by absolute path, maintainer scripts by name."""

    name: str
    version: str
    description: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """The name that apt repositories give the file."""
        return f"{self.name}_{self.version.split(':')[-1]}_{self.architecture}.deb"

    @property
    def architecture(self) -> str:
        """Stand-ins are scripts, but the real packages are built per architecture."""
        return self.fields.get("Architecture") or native_architecture()

    def control(self) -> str:
        """The control file."""
        head = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "gpuhost lab <lab@gpuhost.test>",
            "Section": "utils",
            "Priority": "optional",
        }
        lines = {**head, **self.fields, "Description": self.description}
        return "".join(f"{key}: {value}\n" for key, value in lines.items() if value)

    def build(self, into: Path) -> Path:
        """Write the package into a folder and return its path."""
        into.mkdir(parents=True, exist_ok=True)
        target = into / self.filename
        with tempfile.TemporaryDirectory(prefix="gpuhost-deb-") as scratch:
            self._lay_out(Path(scratch))
            _dpkg_deb(Path(scratch), target)
        return target

    def _lay_out(self, root: Path) -> None:
        root.chmod(0o755)
        _write(root / "DEBIAN/control", File(self.control()))
        for name, text in self.scripts.items():
            _write(root / "DEBIAN" / name, File(text, 0o755))
        for path, file in self.files.items():
            _write(root / path.lstrip("/"), file)
        conffiles = sorted(path for path in self.files if path.startswith("/etc/"))
        if conffiles:
            _write(root / "DEBIAN/conffiles", File("".join(f"{path}\n" for path in conffiles)))


def native_architecture() -> str:
    """Debian's name of this machine's architecture."""
    run = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, check=True)
    return run.stdout.decode().strip()


def _write(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)
    path.chmod(file.mode)
    for folder in path.parents:
        if (folder / "DEBIAN").is_dir():
            break
        folder.chmod(0o755)


def _dpkg_deb(root: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(part)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
    )
    shutil.move(part, target)
