"""GPUs, from nvidia-smi where it works and from the PCI bus where it does not.

nvidia-smi says everything on stdout, its errors too; an exit code of 0 does not prove that
every GPU is there.
"""

import re

from gpuhost.parsing.sections import TIMED_OUT, Section, Sections
from gpuhost.state import Gpu, Gpus, PciGpu

BY_RC = {
    4: "blocked",
    6: "no-devices",
    9: "not-loaded",
    12: "no-library",
    15: "lost",
    18: "mismatch",
}
LOST = re.compile(r"Unable to determine the device handle for GPU", re.IGNORECASE)
COLUMNS = 7


def gpus(parts: Sections) -> Gpus:
    """The GPUs of the host, or why there are none."""
    special = set(parts["special"].out)
    pci = tuple(PciGpu(*[*line.split(" "), ""][:3]) for line in parts["pci"].out)
    cards, problem, detail = _asked(parts.get("smi"))
    if problem or special & {"wsl", "jetson"}:
        problem, detail = _cause(problem, detail, special, pci)
    listing = parts["listing"].out if not problem and "listing" in parts else ()
    return Gpus(
        cards=cards,
        pci=pci,
        problem=problem,
        detail=detail,
        listing=tuple(line for line in listing if line.strip()),
        runfile="runfile" in special,
        secure_boot="secure-boot" in special,
    )


def _asked(smi: Section | None) -> tuple[tuple[Gpu, ...], str, str]:
    if smi is None:
        return (), "no-driver", "nvidia-smi is not installed"
    if smi.rc in TIMED_OUT:
        return (), "hung", "nvidia-smi did not answer in 20 seconds"
    first = next((line for line in smi.out if line.strip()), "")
    if lost := next((line for line in smi.out if LOST.search(line)), ""):
        return (), "lost", lost
    if smi.rc:
        return (), _by_text(first) or BY_RC.get(smi.rc, "broken"), first or smi.last_word
    if "No devices were found" in first:
        return (), "no-devices", first
    try:
        cards = tuple(_card(line) for line in smi.out if line.strip())
    except ValueError as error:
        return (), "unreadable", str(error)
    return (cards, "", "") if cards else ((), "no-devices", "nvidia-smi lists no GPU")


def _by_text(first: str) -> str:
    if "No supported GPUs" in first:
        return "no-devices"
    if "is not a valid field to query" in first:
        return "outdated"
    return "mismatch" if "version mismatch" in first else ""


def _card(line: str) -> Gpu:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != COLUMNS or not cells[0].isdigit() or not cells[1].startswith("GPU-"):
        raise ValueError(f"nvidia-smi: should print {COLUMNS} columns, got {line!r}")
    index, uuid, name, driver, capability, memory, mig = cells
    return Gpu(
        index=int(index),
        uuid=uuid,
        name=name,
        driver=driver,
        capability=capability if re.fullmatch(r"\d+\.\d+", capability) else "",
        memory_mib=int(memory) if memory.isdigit() else None,
        mig=mig == "Enabled",
    )


def _cause(
    problem: str, detail: str, special: set[str], pci: tuple[PciGpu, ...]
) -> tuple[str, str]:
    if "wsl" in special:
        return "wsl", "this is Windows Subsystem for Linux"
    if "jetson" in special:
        return "jetson", "this is an NVIDIA Jetson"
    if not pci:
        return "absent", "no NVIDIA display controller on the PCI bus"
    if problem not in ("no-driver", "not-loaded", "no-library", "no-devices"):
        return problem, detail
    drivers = {card.driver for card in pci}
    if "nouveau" in drivers:
        return "nouveau", "the nouveau driver holds the GPU"
    if drivers == {"vfio-pci"}:
        return "vfio", "every GPU is given to virtual machines (vfio-pci)"
    return problem, detail
