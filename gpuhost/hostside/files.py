"""Files that are either the old ones or the new ones, whatever happens in between."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any


def write(
    path: Path, content: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write beside, sync, rename, sync the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        if owner is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), *owner)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def write_json(path: Path, document: Any) -> None:
    """The same, for a document that root alone reads."""
    write(path, (json.dumps(document, indent=1) + "\n").encode())


def read_json(path: Path, otherwise: Any) -> Any:
    """A document, or something else where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return otherwise


def append(path: Path, line: str) -> None:
    """Add one line and sync it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def settle(folder: str, limit: float = 300) -> None:
    """
    Have a whole file system written to its disk, which engines leave to the kernel.

    What runs goes on meanwhile; what comes next need not wait for the disk. Bounded in seconds.
    """
    with suppress(OSError, subprocess.TimeoutExpired):
        words = ["sync", "--file-system", folder]
        subprocess.run(words, check=False, capture_output=True, timeout=limit)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
