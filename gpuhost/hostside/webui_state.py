"""The WebUI's own settings: copied when a release is left, brought back with it.

Pictures and models are never touched. The storage belongs to the WebUI's user, so nothing in it
is followed through a symbolic link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuhost.hostside import files

SETTINGS = ("config.json", "ui-config.json")
EXTENSIONS = "extensions.json"
"""Their commits; written last, so that it says that the copy is whole."""
FOLDERS = ("stable-diffusion-webui", ".")
"""Where images keep them in their storage: upstream's, and one with the data folder as a whole."""
MOST = 16 << 20
"""Bytes; larger ones are not settings."""


def save(storage: str, folder: Path) -> None:
    """Copy what is there into a release's folder; half a copy is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (EXTENSIONS, *SETTINGS):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError), _webui(storage) as webui:
        for name in SETTINGS:
            content = _read(webui, name)
            if content is not None:
                files.write(folder / name, content)
        files.write_json(folder / EXTENSIONS, dict(_extensions(webui)))


def bring_back(folder: Path, storage: str) -> list[str]:
    """Put the copies in place again; what else differs, in words."""
    if not (folder / EXTENSIONS).exists():
        return []
    with _webui(storage) as webui:
        for name in SETTINGS:
            copy = folder / name
            if copy.exists():
                _write(webui, name, copy.read_bytes())
            elif _read(webui, name) is not None:
                os.unlink(name, dir_fd=webui)
        found = dict(_extensions(webui))
    before = files.read_json(folder / EXTENSIONS, {})
    return [
        f"extension {name} was {_said(before.get(name))}, is {_said(found.get(name))}"
        for name in sorted({*found, *before})
        if found.get(name) != before.get(name)
    ]


def _said(commit: str | None) -> str:
    return "absent" if commit is None else commit or "no git clone"


@contextmanager
def _webui(storage: str) -> Iterator[int]:
    """The folder that holds the WebUI's settings, as a handle."""
    root = os.open(storage, os.O_RDONLY | os.O_DIRECTORY)
    try:
        webui = _chosen(root)
    finally:
        os.close(root)
    try:
        yield webui
    finally:
        os.close(webui)


def _chosen(root: int) -> int:
    for name in FOLDERS[:-1]:
        with suppress(OSError):
            return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    return os.dup(root)


def _read(webui: int, name: str) -> bytes | None:
    with suppress(OSError):
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=webui)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_size <= MOST:
                return file.read()
    return None


def _write(webui: int, name: str, content: bytes) -> None:
    owner = os.fstat(webui)
    beside = f".{name}.gpuhost-new"
    with suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=webui)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(beside, flags, 0o644, dir_fd=webui)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        with suppress(PermissionError):
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, name, src_dir_fd=webui, dst_dir_fd=webui)


def _extensions(webui: int) -> Iterator[tuple[str, str]]:
    """Each extension and the commit it is at; "" where it is no git clone."""
    try:
        folder = os.open("extensions", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=webui)
    except OSError:
        return
    try:
        for name in sorted(os.listdir(folder)):
            with suppress(OSError):
                one = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                try:
                    yield name, _commit(one)
                finally:
                    os.close(one)
    finally:
        os.close(folder)


def _commit(extension: int) -> str:
    head = (_read(extension, ".git/HEAD") or b"").decode("utf-8", "replace").strip()
    if not head.startswith("ref: "):
        return head[:40]
    reference = head[5:]
    if ".." in reference.split("/"):
        return ""
    loose = (_read(extension, f".git/{reference}") or b"").decode("utf-8", "replace").strip()
    if loose:
        return loose[:40]
    packed = (_read(extension, ".git/packed-refs") or b"").decode("utf-8", "replace")
    rows = [line.split(" ", 1) for line in packed.splitlines() if " " in line]
    return next((row[0][:40] for row in rows if row[1] == reference), "")
