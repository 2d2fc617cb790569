"""Where the lab keeps things: `.lab/` of this clone, and a cache that every clone shares."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".lab"
STANDINS = Path(__file__).with_name("standins")


def cache() -> Path:
    """The cache of all clones on this machine, made on first use."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "gpuhost-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def recipe_hash(*parts: str | bytes | Path) -> str:
    """Twelve hex digits that change when any part does; a path stands for its files' contents."""
    digest = hashlib.sha256()
    for part in parts:
        for chunk in _contents(part):
            digest.update(hashlib.sha256(chunk).digest())
    return digest.hexdigest()[:12]


def _contents(part: str | bytes | Path) -> list[bytes]:
    if isinstance(part, bytes):
        return [part]
    if isinstance(part, str):
        return [part.encode()]
    if part.is_file():
        return [part.read_bytes()]
    files = sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return [chunk for f in files for chunk in (str(f.relative_to(part)).encode(), f.read_bytes())]


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Replace `path` in one rename, so that a reader or a kill never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    partial.chmod(mode)
    partial.replace(path)
