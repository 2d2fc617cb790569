"""The GPU as the process sees it: whether there is one is decided once, as torch does."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from standin import faults

UNAVAILABLE = {"error": "unavailable"}
MIB = 1 << 20


def sizes() -> tuple[int, int] | None:
    """Bytes (total, free) of the first GPU, None when nvidia-smi fails or lists none."""
    query = ["nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
        total, free = done.stdout.splitlines()[0].split(", ")
        return (int(total) * MIB, int(free) * MIB) if done.returncode == 0 else None
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None


class Gpu:
    """What torch would know of CUDA in this process."""

    def __init__(self) -> None:
        self.available = sizes() is not None

    def memory(self) -> dict[str, Any]:
        """The `cuda` part of /sdapi/v1/memory, sizes in bytes."""
        found = sizes() if self.available and not faults.now().get("lose_gpu") else None
        if found is None:
            return UNAVAILABLE
        total, free = found
        idle = {"current": 0, "peak": 0}
        return {
            "system": {"free": free, "used": total - free, "total": total},
            **{kind: dict(idle) for kind in ("active", "allocated", "reserved", "inactive")},
            "events": {"retries": 0, "oom": 0},
        }


def ram() -> dict[str, float]:
    """The `ram` part of /sdapi/v1/memory, bytes: used is this process's own, free the rest."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"free": float(total - used), "used": used, "total": float(total)}
