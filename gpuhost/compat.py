"""Whether a GPU and its driver can run an image, and what to do where they cannot.

One question, `objections`, over the tables of `gpuhost.cuda`. What cannot be judged (an unknown
CUDA major, ``[N/A]`` for a capability, an unknown condition) is never an objection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .cuda import (
    CUDA_BRINGS,
    CUDA_DROPS,
    MINIMUM_DRIVER,
    Driver,
    Version,
    capability_of,
    release,
)
from .requirement import Seen, brands_of, cuda_floor, met, newest_cuda, requirements
from .wheels import WHEELS, Wheel, WheelChoice, driver_floor, runs, wheel_for

__all__ = [
    "CUDA_BRINGS",
    "CUDA_DROPS",
    "MINIMUM_DRIVER",
    "WHEELS",
    "Driver",
    "ImageNeeds",
    "Objection",
    "Version",
    "Wheel",
    "WheelChoice",
    "newest_cuda_for",
    "objections",
    "runs",
    "wheel_for",
]

LABEL_CUDA = "org.gpuhost.cuda"
LABEL_ARCH_LIST = "org.gpuhost.arch-list"
LABEL_MINIMUM_DRIVER = "org.gpuhost.minimum-driver"


@dataclass(frozen=True)
class ImageNeeds:
    """What an image needs of a host: CUDA release, architectures it holds code for, driver.

    `cuda_is_hint` marks a CUDA release read from the environment of a base image: torch's wheels
    bring their own CUDA, so it says nothing about architectures.
    """

    cuda: str | None = None
    arch_list: tuple[str, ...] = ()
    minimum_driver: str | None = None
    requirements: tuple[str, ...] = ()
    cuda_is_hint: bool = False

    @classmethod
    def of(cls, labels: Mapping[str, str], env: Mapping[str, str]) -> ImageNeeds:
        """Read the labels we write, then ``NVIDIA_REQUIRE_*``, then ``CUDA_VERSION``."""
        demands = requirements(env)
        stated = _cuda_release(labels.get(LABEL_CUDA))
        floors = [_cuda_release(cuda_floor(demand)) for demand in demands]
        hint = next((floor for floor in floors if floor), _cuda_release(env.get("CUDA_VERSION")))
        driver = Version.maybe(labels.get(LABEL_MINIMUM_DRIVER, "").strip())
        return cls(
            cuda=stated or hint,
            arch_list=tuple(labels.get(LABEL_ARCH_LIST, "").replace(";", " ").split()),
            minimum_driver=driver.text if driver else None,
            requirements=demands,
            cuda_is_hint=stated is None and hint is not None,
        )


@dataclass(frozen=True)
class Objection:
    """Why one GPU cannot run an image; `subject` is ``driver`` or ``architecture``."""

    subject: str
    found: str
    wanted: str
    remedy: str

    def __str__(self) -> str:
        return f"needs {self.wanted}, found {self.found}: {self.remedy}"


def newest_cuda_for(driver: str) -> str | None:
    """Name the newest CUDA release a driver serves in full, PTX included; None if none."""
    version = Version.maybe(driver)
    return newest_cuda(version) if version else None


def objections(needs: ImageNeeds, driver: str, capability: str, gpu_name: str) -> list[Objection]:
    """List why this GPU with this driver cannot run the image: none, one or two reasons."""
    found = [
        _driver(needs, driver, capability, gpu_name),
        _arch(needs, driver, capability, gpu_name),
    ]
    return [objection for objection in found if objection]


def _cuda_release(text: str | None) -> str | None:
    text = (text or "").strip()
    if text.startswith("cu") and text[2:].isdigit() and len(text) == 5:
        text = f"{text[2:4]}.{text[4:]}"
    return release(text) if "." in text and Version.maybe(text) else None


def _driver(needs: ImageNeeds, driver: str, capability: str, gpu_name: str) -> Objection | None:
    version = Version.maybe(driver)
    if version is None:
        return None
    wanted = _wanted_driver(needs, capability)
    if wanted and version < wanted[0]:
        return _too_old(version, f"driver {wanted[0]} or newer{wanted[1]}", str(wanted[0]))
    seen = Seen(version, Version.maybe(capability), brands_of(gpu_name))
    for demand in needs.requirements:
        if met(demand, seen) is False:
            return _refused(demand, version)
    return None


def _wanted_driver(needs: ImageNeeds, capability: str) -> tuple[Version, str] | None:
    floors = []
    if stated := Version.maybe(needs.minimum_driver):
        floors.append((stated, " for this image"))
    by_demand = needs.cuda_is_hint and bool(needs.requirements)
    if Version.maybe(needs.cuda) and needs.cuda and not by_demand:
        gpus = [capability] if _readable(capability) else []
        if by_cuda := driver_floor(needs.cuda, gpus, needs.arch_list):
            floors.append((by_cuda, f" for CUDA {needs.cuda}"))
    return max(floors, default=None)


def _too_old(version: Version, wanted: str, newer: str) -> Objection:
    served = newest_cuda(version)
    other = (
        f"use an image built for CUDA {served} or older (the newest this driver serves)"
        if served
        else "there is no image for a driver this old"
    )
    return Objection("driver", str(version), wanted, f"install driver {newer} or newer, or {other}")


def _refused(demand: str, version: Version) -> Objection:
    floor = _cuda_release(cuda_floor(demand))
    row = MINIMUM_DRIVER.get(floor or "")
    newer = str(row.native) if row else "that meets it"
    if row and floor:
        wanted = f"driver {newer} or newer for CUDA {floor} (the image's NVIDIA_REQUIRE_*)"
        return _too_old(version, wanted, newer)
    short = demand if len(demand) <= 60 else f"{demand[:57]}..."
    remedy = "use an image whose NVIDIA_REQUIRE_* this host meets, or a driver that meets it"
    return Objection("driver", f"driver {version}", f"what the image requires, {short!r}", remedy)


def _arch(needs: ImageNeeds, driver: str, capability: str, gpu_name: str) -> Objection | None:
    if not _readable(capability):
        return None
    if needs.arch_list:
        if runs(capability, needs.arch_list):
            return None
        wanted = f"a GPU the image has code for ({' '.join(needs.arch_list)})"
    else:
        cuda = None if needs.cuda_is_hint else Version.maybe(needs.cuda)
        if cuda is None or not (why := _outside(cuda, capability)):
            return None
        wanted = f"a GPU that CUDA {cuda} serves ({why})"
    found = f"{gpu_name} (compute capability {capability})"
    return Objection("architecture", found, wanted, _other_image(capability, driver))


def _outside(cuda: Version, capability: str) -> str | None:
    gpu = capability_of(capability)
    floors = [low for since, low in CUDA_DROPS.items() if Version.parse(since) <= cuda]
    if floors and gpu < capability_of(floors[-1]):
        return f"{floors[-1]} and newer"
    brought = CUDA_BRINGS.get(gpu[0])
    if brought and cuda < Version.parse(brought):
        return f"compute capability {gpu[0]}.x came with CUDA {brought}"
    return None


def _other_image(capability: str, driver: str) -> str:
    choice = wheel_for([capability], driver)
    if choice.wheel:
        return f"use a {choice.wheel.channel} build of the image ({choice.reason})"
    return f"no image can serve it as it is: {choice.reason}"


def _readable(capability: str) -> bool:
    try:
        capability_of(capability)
    except ValueError:
        return False
    return True
