"""Stand-ins for Debian's packaged NVIDIA driver: installed now, loaded at the next boot.

Until then ``nvidia-smi`` says that it cannot reach the driver, or, when another version is still
loaded, that driver and library do not match. The lab's boot script loads it, as a kernel would.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.standins.deb import File, Package

FILES = Path(__file__).parent / "files"
NVIDIA_SMI = Path(__file__).parent.parent / "nvidia-smi"
VERSION = "550.163.01-2+lab1"

# Of NVIDIA's CUDA release notes: the newest CUDA that each driver branch serves.
CUDA_OF_BRANCH = {
    "535": "12.2",
    "550": "12.4",
    "570": "12.8",
    "580": "13.0",
    "590": "13.1",
    "595": "13.2",
    "610": "13.3",
}


def build(into: Path, version: str = VERSION) -> list[Path]:
    """Write nvidia-driver and the packages it needs into a folder and return their paths."""
    return [package.build(into) for package in packages(version)]


def packages(version: str = VERSION) -> list[Package]:
    """The packages of one driver release, by Debian's names."""
    smi = Package(
        "nvidia-smi",
        version,
        "NVIDIA System Management Interface (stand-in)",
        files={"/usr/bin/nvidia-smi": File(NVIDIA_SMI.read_text(), 0o755)},
    )
    driver = Package(
        "nvidia-driver",
        version,
        "NVIDIA metapackage (stand-in)",
        fields={"Depends": f"nvidia-kernel-dkms (= {version}), nvidia-smi (= {version})"},
    )
    return [smi, _kernel(version), driver]


def _kernel(version: str) -> Package:
    upstream = version.split("-")[0]
    values = {"@DRIVER@": upstream, "@CUDA@": CUDA_OF_BRANCH[upstream.split(".")[0]]}
    return Package(
        "nvidia-kernel-dkms",
        version,
        "NVIDIA binary kernel module DKMS source (stand-in)",
        fields={"Provides": f"nvidia-kernel-{upstream}"},
        scripts={"postinst": _text("postinst", values)},
    )


def _text(name: str, values: dict[str, str]) -> str:
    text = (FILES / name).read_text()
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
