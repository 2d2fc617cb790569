"""The engine's build cache: how large it is, and cut to a size.

Asked of the engine itself: `docker builder` may be another program that speaks to another builder,
and names its options after its own version.
"""

from __future__ import annotations

from gpuhost.hostside import docker, engine_api

FIRST = (1, 42)
"""First interface that can be asked for the build cache alone (Docker Engine 23)."""
MEASURING = 60.0
CUTTING = 1800.0
"""Seconds."""


def size() -> int | None:
    """Bytes; None where the engine cannot say that without measuring everything."""
    try:
        if engine_api.numbers() < FIRST:
            return None
        found = engine_api.ask("GET", "/system/df?type=build-cache", MEASURING)
        return sum(int(one.get("Size", 0)) for one in found.get("BuildCache") or ())
    except docker.DockerError:
        return None


def cut(keep: int) -> int:
    """
    Remove what was used longest ago until this many bytes are left; bytes that were freed.

    :raises docker.DockerError: when the engine did not
    """
    query = f"keep-storage={keep}&reserved-space={keep}"
    answer = engine_api.ask("POST", f"/build/prune?{query}", CUTTING)
    return int(answer.get("SpaceReclaimed", 0))
