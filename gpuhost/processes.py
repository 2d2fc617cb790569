"""Processes of this machine: whether one that wrote its number down is still the same one."""

import os
from pathlib import Path

PROC = Path("/proc")
DEAD = frozenset("ZX")
"""States of a process that has ended and is still listed."""


def space() -> str:
    """Where process numbers of ours mean something: this boot and pid namespace; "" if unknown."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{(PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if it cannot be read."""
    fields = _fields(pid)
    return int(fields[19]) if fields else 0


def lives(pid: int, since: int) -> bool:
    """Whether the process of this number still is the one that started then."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    fields = _fields(pid)
    return not fields or (fields[0] not in DEAD and int(fields[19]) == since)


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat from its third field on, the state."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
