"""Repository keys: fetched here, accepted only when the fingerprint is the pinned one."""

import threading
from functools import cache
from pathlib import Path

from gpuhost import openpgp

LIMIT = 256 * 1024
"""Bytes; NVIDIA's and Docker's keys are under 4 KB."""
_turn = threading.Lock()


class KeyRefused(Exception):
    """A key that cannot be had or is not the pinned one; one line."""


def fetch(source: str, fingerprint: str) -> bytes:
    """The key at a URL or local path. Fetched once a run.

    :raises KeyRefused: when it cannot be read or holds any other primary key
    """
    with _turn:
        content = _read(source)
    try:
        found = openpgp.fingerprints(content)
    except openpgp.OpenPGPError as error:
        raise KeyRefused(f"{source}: {error}") from error
    if found != (fingerprint,):
        raise KeyRefused(
            f"{source}: should be the key {fingerprint}, got {', '.join(found)}"
            " (check the address; if the repository changed its key, pin the new fingerprint)"
        )
    return content


@cache
def _read(source: str) -> bytes:
    if "://" not in source:
        try:
            return Path(source).expanduser().read_bytes()
        except OSError as error:
            raise KeyRefused(f"{source}: {error.strerror}") from error
    import requests

    try:
        answer = requests.get(source, timeout=30)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise KeyRefused(f"{source}: {error}") from error
    return answer.content[:LIMIT]
