"""What NVIDIA and PyTorch publish about drivers, CUDA releases and GPU architectures.

Compute capabilities are written ``M.m`` as ``nvidia-smi --query-gpu=compute_cap`` prints them.
Driver versions are Linux x86_64 ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

_DOTTED = re.compile(r"[0-9]+(\.[0-9]+)*")
_ARCH = re.compile(r"(?P<major>[0-9]+)\.(?P<minor>[0-9])(?P<kind>[af]?)(?P<ptx>\+PTX)?", re.I)
_SM = re.compile(r"(sm|compute)_(?P<major>[0-9]+)(?P<minor>[0-9])(?P<kind>[af]?)", re.I)


@dataclass(frozen=True, order=True)
class Version:
    """A dotted version that compares by its numbers: ``570.26 < 570.144 < 580.65.06``."""

    numbers: tuple[int, ...]
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read digits and dots; ``ValueError`` for anything else, such as ``[N/A]``."""
        if not _DOTTED.fullmatch(text) or len(text) > 60:
            raise ValueError(f"version: should be numbers joined by dots, got {text!r}")
        return cls(tuple(int(part) for part in text.split(".")), text)

    @classmethod
    def maybe(cls, text: str | None) -> Version | None:
        """Read a version, or answer None where there is none to read."""
        try:
            return cls.parse(text or "")
        except ValueError:
            return None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Driver:
    """The oldest drivers for one CUDA release; ``compatible`` runs it without compiling PTX."""

    native: Version
    compatible: Version


def _drivers(compatible: str, native: dict[str, str]) -> dict[str, Driver]:
    floor = Version.parse(compatible)
    return {cuda: Driver(Version.parse(first), floor) for cuda, first in native.items()}


MINIMUM_DRIVER: dict[str, Driver] = {
    **_drivers(
        "450.80.02",
        {
            "11.0": "450.51.05",
            "11.1": "455.32",
            "11.2": "460.32.03",
            "11.3": "465.19.01",
            "11.4": "470.42.01",
            "11.5": "495.29.05",
            "11.6": "510.39.01",
            "11.7": "515.43.04",
            "11.8": "520.61.05",
        },
    ),
    **_drivers(
        "525.60.13",
        {
            "12.0": "525.60.13",
            "12.1": "530.30.02",
            "12.2": "535.54.03",
            "12.3": "545.23.06",
            "12.4": "550.54.14",
            "12.5": "555.42.02",
            "12.6": "560.28.03",
            "12.8": "570.26",
            "12.9": "575.51.03",
        },
    ),
    **_drivers(
        "580.65.06",
        {
            "13.0": "580.65.06",
            "13.1": "590.44.01",
            "13.2": "595.45.04",
            "13.3": "610.43.02",
        },
    ),
}
"""Oldest driver per CUDA release, first release of each (not its updates), oldest first.

Source: CUDA Toolkit Release Notes, tables "CUDA Toolkit and Minimum Required Driver Version for
CUDA Minor Version Compatibility" and "CUDA Toolkit and Corresponding Driver Versions". For 13.x
the notes say ">= 580"; 580.65.06 is the first driver of that branch.
"""

CUDA_DROPS: dict[str, str] = {"12.0": "5.0", "13.0": "7.5"}
"""From this CUDA release on, nothing below this compute capability can be built.

Source: CUDA Toolkit Release Notes, "Deprecated Architectures": Kepler left with 12.0; Maxwell,
Pascal and Volta with 13.0.
"""

CUDA_BRINGS: dict[int, str] = {8: "11.0", 9: "11.8", 10: "12.8", 11: "13.0", 12: "12.8"}
"""The first CUDA release that builds for a GPU generation, by major compute capability.

Source: CUDA Toolkit Release Notes and nvcc's list of ``-arch`` values.
"""


@dataclass(frozen=True)
class Arch:
    """One entry of an architecture list: ``8.6``, ``9.0a``, ``6.1+PTX``, ``sm_90``."""

    major: int
    minor: int
    kind: str
    ptx: bool

    @classmethod
    def parse(cls, text: str) -> Arch | None:
        """Read one entry; None where it says something else, such as ``Ampere``."""
        if match := _ARCH.fullmatch(text):
            ptx = bool(match["ptx"])
        elif match := _SM.fullmatch(text):
            ptx = text.lower().startswith("compute")
        else:
            return None
        return cls(int(match["major"]), int(match["minor"]), match["kind"].lower(), ptx)

    def holds_code_for(self, major: int, minor: int) -> bool:
        """Whether its machine code runs there: never across majors, never on an older minor."""
        if self.kind == "a":
            return (self.major, self.minor) == (major, minor)
        return self.major == major and self.minor <= minor

    def compiles_for(self, major: int, minor: int) -> bool:
        """Whether the driver can compile its PTX for that GPU when the program starts."""
        return self.ptx and not self.kind and (self.major, self.minor) <= (major, minor)


def capability_of(text: str) -> tuple[int, int]:
    """Read ``8.9`` as ``(8, 9)``; ``ValueError`` for anything else."""
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9])", text)
    if not match:
        raise ValueError(f"compute capability: should look like '8.9', got {text!r}")
    return int(match[1]), int(match[2])


def release(cuda: str) -> str:
    """Cut a CUDA version to its release: ``12.8.1`` is ``12.8``."""
    return ".".join(cuda.split(".")[:2])


@lru_cache
def minimum_driver(cuda: str, *, compiles_ptx: bool) -> Version | None:
    """Tell the oldest driver that runs a CUDA release; None for a major nothing is known about.

    A release newer than the table needs at least what the newest known one before it needs.
    """
    wanted = Version.parse(release(cuda))
    known = [row for row in MINIMUM_DRIVER if Version.parse(row).numbers[0] == wanted.numbers[0]]
    if not known:
        return None
    before = [row for row in known if Version.parse(row) <= wanted] or known[:1]
    row = MINIMUM_DRIVER[before[-1]]
    return max(row.native, row.compatible) if compiles_ptx else row.compatible
