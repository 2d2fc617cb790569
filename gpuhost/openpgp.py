"""Fingerprints of the keys in an OpenPGP public key file, without GnuPG.

Reads RFC 4880: ASCII armour or binary, old and new packet headers, version 4 keys. Nothing is
verified; whoever pins a fingerprint trusts that fingerprint and nothing else in the file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_BLOCK = re.compile(
    rb"^-----BEGIN PGP (?P<kind>[A-Z ]+)-----[ \t\r]*\n(?P<body>.*?)^-----END PGP (?P=kind)-----",
    re.DOTALL | re.MULTILINE,
)
_HEADERS = re.compile(rb"\A(?:[^\n:]+: ?[^\n]*\n)*[ \t\r]*\n")

PUBLIC_KEY = 6
KINDS = {
    1: "an encrypted message",
    2: "a signature",
    3: "an encrypted message",
    4: "a signed message",
    5: "a private key",
    7: "a private key",
    8: "a compressed message",
    9: "an encrypted message",
    11: "a message",
    14: "a subkey without its key",
    18: "an encrypted message",
}


class OpenPGPError(ValueError):
    """Why a file is not a usable OpenPGP public key, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(f"OpenPGP key: {message}")


def fingerprints(data: bytes) -> tuple[str, ...]:
    """List the fingerprints of the primary keys, 40 upper-case hex digits each, in file order.

    Raises `OpenPGPError` for anything but one or more version 4 public keys.
    """
    binary = b"".join(_dearmoured(data)) if _is_text(data) else data
    if not binary:
        raise OpenPGPError("the file is empty")
    found: list[str] = []
    for tag, body in _packets(binary):
        if tag in KINDS and (not found or tag in {5, 7}):
            raise OpenPGPError(f"should be a public key, got {KINDS[tag]}")
        if tag == PUBLIC_KEY:
            found.append(_fingerprint(body))
    if not found:
        raise OpenPGPError("there is no public key in the file")
    return tuple(found)


def _is_text(data: bytes) -> bool:
    """Every binary packet starts with the high bit set, and armour never has it."""
    return not data or data[0] < 0x80 or data.startswith(b"\xef\xbb\xbf")


def _dearmoured(data: bytes) -> Iterator[bytes]:
    if not data.strip():
        return
    blocks = list(_BLOCK.finditer(data))
    if not blocks:
        raise OpenPGPError(_not_armour(data))
    for block in blocks:
        if block["kind"] != b"PUBLIC KEY BLOCK":
            kind = block["kind"].decode().lower()
            raise OpenPGPError(f"should be a public key block, got a {kind}")
        yield _decoded(block["body"].replace(b"\r", b""))


def _not_armour(data: bytes) -> str:
    head = data.lstrip()[:200].lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        return "should be a key, got a web page; check the address it was fetched from"
    if b"-----begin pgp" in data.lower():
        return "the armour has a beginning and no matching end; the file is cut off"
    return f"should be ASCII armour or binary OpenPGP, got text that starts {data[:20]!r}"


def _decoded(body: bytes) -> bytes:
    headers = _HEADERS.match(body)
    lines = body[headers.end() if headers else 0 :].split()
    checksum = lines.pop() if lines and len(lines[-1]) == 5 and lines[-1].startswith(b"=") else None
    try:
        binary = base64.b64decode(b"".join(lines), validate=True)
        expected = base64.b64decode(checksum[1:], validate=True) if checksum else None
    except binascii.Error:
        raise OpenPGPError("the armour is not base64; the file is damaged") from None
    if expected is not None and expected != _crc24(binary):
        raise OpenPGPError("the armour's checksum does not match; the file is damaged")
    return binary


def _crc24(data: bytes) -> bytes:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc.to_bytes(3, "big")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise OpenPGPError(f"byte {at} should start a packet, got {head:#04x}")
        if head & 0x40:
            tag, (start, length) = head & 0x3F, _new_length(data, at + 1)
        else:
            tag, (start, length) = (head >> 2) & 0x0F, _old_length(data, at + 1, head & 3)
        if start + length > len(data):
            raise OpenPGPError(f"the packet at byte {at} is cut off")
        yield tag, data[start : start + length]
        at = start + length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = _number(data, at, 1)
    if first < 192:
        return at + 1, first
    if first < 224:
        return at + 2, ((first - 192) << 8) + _number(data, at + 1, 1) + 192
    if first < 255:
        raise OpenPGPError(f"the packet at byte {at - 1} comes in parts, which a key never does")
    return at + 5, _number(data, at + 1, 4)


def _old_length(data: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == 3:
        raise OpenPGPError(f"the packet at byte {at - 1} has no length, which a key always has")
    size = 1 << kind
    return at + size, _number(data, at, size)


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise OpenPGPError(f"the packet header at byte {at - 1} is cut off")
    return int.from_bytes(data[at : at + size], "big")


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version != 4:
        raise OpenPGPError(
            f"should be a version 4 key, got version {version}; ask for a version 4 key"
        )
    if not 6 < len(body) <= 0xFFFF:
        raise OpenPGPError(f"a public key packet of {len(body)} bytes is no key")
    digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
    return digest.hexdigest().upper()
