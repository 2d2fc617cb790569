"""PyTorch's wheels: which GPUs they have code for, and which of them serve a whole host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .cuda import Arch, Version, capability_of, minimum_driver


@dataclass(frozen=True)
class Wheel:
    """One channel of PyTorch wheels (``/whl/CHANNEL``) for a range of torch releases."""

    channel: str
    cuda: str
    first_torch: str
    last_torch: str | None
    arch_list: tuple[str, ...]


def _wheel(channel: str, first: str, last: str | None, archs: str) -> Wheel:
    return Wheel(channel, f"{channel[2:4]}.{channel[4:]}", first, last, tuple(archs.split()))


WHEELS: tuple[Wheel, ...] = (
    _wheel("cu132", "2.12", None, "7.5 8.0 8.6 9.0 10.0 12.0"),
    _wheel("cu130", "2.9", None, "7.5 8.0 8.6 9.0 10.0 12.0+PTX"),
    _wheel("cu129", "2.11", "2.11", "7.5 8.0 8.6 9.0 10.0 12.0+PTX"),
    _wheel("cu129", "2.8", "2.10", "7.0 7.5 8.0 8.6 9.0 10.0 12.0+PTX"),
    _wheel("cu128", "2.11", "2.11", "7.5 8.0 8.6 9.0 10.0 12.0"),
    _wheel("cu128", "2.8", "2.10", "7.0 7.5 8.0 8.6 9.0 10.0 12.0"),
    _wheel("cu128", "2.7", "2.7", "7.5 8.0 8.6 9.0 10.0 12.0+PTX"),
    _wheel("cu126", "2.6", None, "5.0 6.0 7.0 7.5 8.0 8.6 9.0"),
    _wheel("cu124", "2.4", "2.6", "5.0 6.0 7.0 7.5 8.0 8.6 9.0"),
    _wheel("cu121", "2.1", "2.5", "5.0 6.0 7.0 7.5 8.0 8.6 9.0"),
    _wheel("cu118", "2.0", "2.7", "3.7 5.0 6.0 7.0 7.5 8.0 8.6 9.0"),
)
"""Architectures inside PyTorch's Linux x86_64 wheels, newest CUDA first; None: still published.

Source: PyTorch's ``.ci/manywheel/build_cuda.sh`` at its release branches and the CUDA support
matrix of its ``RELEASE.md``. 12.8 was dropped with torch 2.12.
"""


@dataclass(frozen=True)
class WheelChoice:
    """The newest torch wheels that serve all GPUs of a host, or None and the reason."""

    wheel: Wheel | None
    reason: str


def runs(capability: str, arch_list: Iterable[str]) -> bool:
    """Tell whether an image with these architectures has code for a GPU.

    Machine code for ``M.n`` runs on ``M.m`` with ``m >= n``; PTX runs on anything at or above it.
    An entry that cannot be read might serve, and counts. Source: CUDA C++ Programming Guide,
    "Application Compatibility". ``ValueError`` for a capability that is not ``M.m``.
    """
    gpu = capability_of(capability)
    entries = [Arch.parse(text) for text in arch_list]
    return any(e is None or e.holds_code_for(*gpu) or e.compiles_for(*gpu) for e in entries)


def driver_floor(cuda: str, gpus: Iterable[str], arch_list: Sequence[str]) -> Version | None:
    """Tell the oldest driver for these GPUs; None for a CUDA major nothing is known about.

    PTX is compiled by the driver, which then has to know this CUDA release in full.
    """
    code = [text.upper().removesuffix("+PTX") for text in arch_list if not text.startswith("comp")]
    compiles = any(runs(gpu, arch_list) and not runs(gpu, code) for gpu in gpus)
    return minimum_driver(cuda, compiles_ptx=compiles)


def wheel_for(capabilities: Iterable[str], driver: str) -> WheelChoice:
    """Choose the newest torch wheels with code for all these GPUs that the driver can run.

    Minor version compatibility counts as running, so 12.x wheels run from driver 525.60.13 on.
    """
    gpus = sorted(set(capabilities), key=capability_of)
    fitting = [wheel for wheel in WHEELS if all(runs(gpu, wheel.arch_list) for gpu in gpus)]
    version = Version.maybe(driver)
    for wheel in fitting:
        floor = driver_floor(wheel.cuda, gpus, wheel.arch_list)
        if version is None or floor is None or version >= floor:
            return WheelChoice(wheel, f"{_range(wheel)} has code for {', '.join(gpus)}")
    if fitting:
        floor = min(f for w in fitting if (f := driver_floor(w.cuda, gpus, w.arch_list)))
        return WheelChoice(None, f"torch wheels for {', '.join(gpus)} need driver {floor} or newer")
    return WheelChoice(None, _nothing_fits(gpus))


def _nothing_fits(gpus: list[str]) -> str:
    served = {gpu: [w.channel for w in WHEELS if runs(gpu, w.arch_list)] for gpu in gpus}
    if orphans := [gpu for gpu, channels in served.items() if not channels]:
        return f"no torch wheel has code for compute capability {', '.join(orphans)}"
    each = (f"{gpu} runs {channels[-1]} to {channels[0]}" for gpu, channels in served.items())
    return f"no single torch wheel has code for all GPUs: {'; '.join(each)}"


def _range(wheel: Wheel) -> str:
    if wheel.last_torch == wheel.first_torch:
        return f"torch {wheel.first_torch} {wheel.channel}"
    last = f" to {wheel.last_torch}" if wheel.last_torch else " or newer"
    return f"torch {wheel.first_torch}{last} {wheel.channel}"
