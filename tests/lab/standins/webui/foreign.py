"""An image for another architecture, whose only program this machine's kernel refuses to run."""

from __future__ import annotations

import struct

from tests.lab.oci import Entry, Layer, architecture, layer_of

LOAD_ADDRESS = 0x400000
HEADERS = 64 + 56
# exit(0) in each one's machine code, and its number in the ELF header.
PROGRAMS = {
    "amd64": (62, bytes.fromhex("bf00000000b83c0000000f05")),
    "arm64": (183, bytes.fromhex("000080d2a80b80d2010000d4")),
}


def other_architecture() -> str:
    """The one that this machine is not."""
    return "amd64" if architecture() == "arm64" else "arm64"


def layer() -> Layer:
    """The account of the WebUI's images, and a shell that could run elsewhere."""
    shell = program(other_architecture())
    return layer_of(
        [
            Entry("etc/passwd", b"runner:x:1000:1000::/home/runner:/bin/bash\n"),
            Entry("etc/group", b"runner:x:1000:\n"),
            Entry("home/runner", mode=0o755, owner=1000),
            Entry("bin/bash", shell, 0o755),
            Entry("bin/sh", shell, 0o755),
        ]
    )


def program(built_for: str) -> bytes:
    """A static ELF executable that ends with 0."""
    machine, code = PROGRAMS[built_for]
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    entry, size = LOAD_ADDRESS + HEADERS, HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x1000)
    return header + segment + code
