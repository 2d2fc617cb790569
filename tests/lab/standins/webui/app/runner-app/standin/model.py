"""The checkpoint: found on disk, checked, hashed, loaded in a thread of its own."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from standin import faults

HEADER_LIMIT = 100_000_000


class SafetensorError(Exception):
    """The checkpoint file is not what its name says."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint file and its sha256."""

    path: Path
    sha256: str

    @property
    def title(self) -> str:
        """The name by which options and the UI refer to it."""
        return f"{self.path.name} [{self.sha256[:10]}]"

    def about(self) -> dict[str, str | None]:
        """One element of /sdapi/v1/sd-models."""
        return {
            "title": self.title,
            "model_name": self.path.stem,
            "hash": self.sha256[:10],
            "sha256": self.sha256,
            "filename": str(self.path),
            "config": None,
        }


class Model:
    """The one model of the process; `loaded` is None until it is there."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = data / "models" / "Stable-diffusion"
        self.loaded: Checkpoint | None = None
        self.announced: Checkpoint | None = None
        self._lock = threading.Lock()

    def checkpoints(self) -> list[Checkpoint]:
        """What lies in the folder, sound or not."""
        files = sorted(p for p in self.folder.glob("*") if p.suffix in (".safetensors", ".ckpt"))
        return [Checkpoint(path, self._sha256(path)) for path in files]

    def load_in_background(self) -> threading.Thread:
        """Start loading, as the real one does before its port is open."""
        thread = threading.Thread(target=self._load_quietly, name="model")
        thread.start()
        return thread

    def need(self) -> Checkpoint:
        """The loaded model; waits for a load that is under way, or tries one."""
        with self._lock:
            if faults.now().get("no_model"):
                raise FileNotFoundError(self._nothing_found())
            return self.loaded or self._load()

    def _load_quietly(self) -> None:
        try:
            self.need()
        except Exception as error:
            print(f"loading stable diffusion model: {type(error).__name__}", file=sys.stderr)
            traceback.print_exc()
            print("\nStable diffusion model failed to load", file=sys.stderr)
            print("Applying attention optimization: InvokeAI... done.", flush=True)

    def _load(self) -> Checkpoint:
        found = self.checkpoints()
        if not found:
            raise FileNotFoundError(self._nothing_found())
        begun = time.monotonic()
        self.announced = checkpoint = found[0]
        print(f"Loading weights [{checkpoint.sha256[:10]}] from {checkpoint.path}", flush=True)
        _check(checkpoint.path)
        print("Creating model from config: /home/runner-app/tiny.yaml", flush=True)
        time.sleep(float(faults.now().get("load_seconds", 1.0)))
        self.loaded = checkpoint
        print("Applying attention optimization: InvokeAI... done.", flush=True)
        took = time.monotonic() - begun
        print(f"Model loaded in {took:.1f}s (create model: 0.1s, load: {took:.1f}s).", flush=True)
        return checkpoint

    def _nothing_found(self) -> str:
        return (
            "No checkpoints found. When searching for checkpoints, looked at:\n"
            f" - file {self.data}/model.ckpt\n"
            f" - directory {self.folder}"
            "Can't run without a checkpoint. Find and place a .ckpt or .safetensors file into any "
            "of those locations."
        )

    def _sha256(self, path: Path) -> str:
        store = self.data / "cache" / "hashes" / "cache.db"
        store.parent.mkdir(parents=True, exist_ok=True)
        key = f"{path}:{path.stat().st_mtime_ns}"
        cached = sqlite3.connect(store, timeout=10)
        try:
            cached.execute("create table if not exists cache (key text primary key, value text)")
            row = cached.execute("select value from cache where key = ?", (key,)).fetchone()
            if row:
                return str(row[0])
            print(f"Calculating sha256 for {path}: ", end="", flush=True)
            value = hashlib.sha256(path.read_bytes()).hexdigest()
            print(value, flush=True)
            cached.execute("insert or replace into cache values (?, ?)", (key, value))
            cached.commit()
            return value
        finally:
            cached.close()


def _check(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT
    if length >= HEADER_LIMIT:
        raise SafetensorError("Error while deserializing header: HeaderTooLarge")
    if length + 8 >= path.stat().st_size:
        raise SafetensorError("Error while deserializing header: MetadataIncompleteBuffer")
