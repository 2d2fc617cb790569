"""Layers of any size that do not compress: seeded random bytes, made a piece at a time."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator

from tests.lab.oci import EPOCH, Layer, layer_of_chunks

MEBIBYTE = 1 << 20


def layer(seed: str, mebibytes: int) -> Layer:
    """One file of that size below /opt; stored, not squeezed, since squeezing gains nothing."""
    return layer_of_chunks(_tar(seed, mebibytes), f"noise-{seed}-{mebibytes}", level=0)


def _tar(seed: str, mebibytes: int) -> Iterator[bytes]:
    info = tarfile.TarInfo(f"opt/{seed}.bin")
    info.size, info.mtime = mebibytes * MEBIBYTE, EPOCH
    yield info.tobuf(tarfile.GNU_FORMAT)
    source = random.Random(seed)
    for _ in range(mebibytes):
        yield source.randbytes(MEBIBYTE)
    yield bytes(2 * tarfile.BLOCKSIZE)
