"""Real cards by their figures, and the table from which a lab host plays them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DRIVER = "580.126.09"
CUDA = "13.0"
MODES = (
    "ok",
    "absent-device",
    "nodriver",
    "nolib",
    "mismatch",
    "nodevices",
    "unknown",
    "lost",
    "hang",
    "slow",
)


@dataclass(frozen=True)
class Gpu:
    """A card as nvidia-smi shows it; memory in MiB, PCI device id in hex, MIG '[N/A]' if none.

    Names, memory and ids: rows of nvidia-smi on such cards, and the device table of NVIDIA's
    open kernel module; compute capabilities: NVIDIA's list of CUDA GPUs.
    """

    name: str
    compute_cap: str
    memory: int
    device_id: str
    mig: str = "[N/A]"


RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", "8.9", 24564, "2684")
RTX_3060 = Gpu("NVIDIA GeForce RTX 3060", "8.6", 12288, "2504")
RTX_5090 = Gpu("NVIDIA GeForce RTX 5090", "12.0", 32607, "2B85")
RTX_2080_TI = Gpu("NVIDIA GeForce RTX 2080 Ti", "7.5", 11264, "1E04")
TITAN_XP = Gpu("NVIDIA TITAN Xp", "6.1", 12196, "1B02")
TESLA_T4 = Gpu("Tesla T4", "7.5", 15360, "1EB8")
V100 = Gpu("Tesla V100-SXM2-16GB", "7.0", 16160, "1DB1")
A100 = Gpu("NVIDIA A100-SXM4-40GB", "8.0", 40960, "20B0", "Disabled")
A100_MIG = Gpu("NVIDIA A100-SXM4-40GB", "8.0", 40960, "20B0", "Enabled")
L40S = Gpu("NVIDIA L40S", "8.9", 46068, "26B9")
H200 = Gpu("NVIDIA H200", "9.0", 143771, "2335", "Disabled")


def uuid(host: int, index: int, gpu: Gpu) -> str:
    """The UUID that this card has in this slot of this host, the same at every bring-up."""
    return f"GPU-5b1d0c3e-0a11-4c2f-9d3e-{host:04x}{index:04x}{gpu.device_id.lower()}"


def table(
    host: int,
    gpus: Sequence[Gpu],
    driver: str | None = DRIVER,
    loaded: str | None = None,
    mode: str = "ok",
    module: str = "",
    cuda: str = CUDA,
) -> str:
    """The text of gpus.table; `loaded` is the kernel module's version where it differs from
    the driver's, `module` the kernel module that holds the cards in the driver's stead.
    """
    rows = [
        f"gpu={index}|{uuid(host, index, gpu)}|{gpu.name}|{gpu.compute_cap}|{gpu.memory}"
        f"|00000000:{index + 1:02X}:00.0|0x{gpu.device_id}10DE|{gpu.mig}"
        for index, gpu in enumerate(gpus)
    ]
    head = [
        f"mode={mode}",
        f"driver={driver or ''}",
        f"loaded={(driver if loaded is None else loaded) or ''}",
        f"cuda={cuda if driver else ''}",
        f"module={module}",
    ]
    return "\n".join([*head, *rows]) + "\n"
