"""Real PNG files: 8-bit RGB of any size, with the generation parameters in a tEXt chunk."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, seed: int, parameters: str) -> bytes:
    """Coloured stripes that depend on the seed."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    text = b"parameters\0" + parameters.encode("latin-1", "replace")
    rows = zlib.compress(b"".join(b"\0" + row for row in _rows(width, height, seed)), 1)
    chunks = (b"IHDR", header), (b"tEXt", text), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _rows(width: int, height: int, seed: int) -> list[bytes]:
    return [
        bytes(((seed + y) % 256, (seed * 7 + y * 3) % 256, (seed * 13 + 255 - y) % 256)) * width
        for y in range(height)
    ]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
