"""Stand-ins for the four packages of NVIDIA's container toolkit.

What they do is real: the hook and the CDI spec put the stand-in ``nvidia-smi``, the GPU table and
a harmless ``/dev/nvidiaN`` per GPU into a container. Names, dependencies, units, streams and exit
codes follow the toolkit's releases 1.17 to 1.20.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.standins.deb import File, Package

FILES = Path(__file__).parent / "files"
COMMIT = "5f0a1b2c3d4e5f60718293a4b5c6d7e8f9012345"


def build(version: str, into: Path) -> list[Path]:
    """Write the four packages of one release, e.g. ``1.20.0``, and return their paths."""
    return [package.build(into) for package in packages(version)]


def packages(version: str) -> list[Package]:
    """The four packages of one release, as ``version-1``."""
    return [_library(version), _tools(version), _base(version), _toolkit(version)]


def _library(version: str) -> Package:
    note = File(f"stand-in of libnvidia-container {version}\n")
    return Package(
        "libnvidia-container1",
        _debian(version),
        "NVIDIA container runtime library (stand-in)",
        files={"/usr/share/doc/libnvidia-container1/README": note},
    )


def _tools(version: str) -> Package:
    relation = "=" if _at_least(version, 1, 18) else ">="
    return Package(
        "libnvidia-container-tools",
        _debian(version),
        "NVIDIA container runtime library, command-line tools (stand-in)",
        fields={"Depends": f"libnvidia-container1 ({relation} {_debian(version)})"},
        files={"/usr/bin/nvidia-container-cli": _program("nvidia-container-cli", version)},
    )


def _base(version: str) -> Package:
    programs = ("nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-runtime")
    files = {f"/usr/bin/{name}": _program(name, version) for name in programs}
    scripts = {}
    if _at_least(version, 1, 18):
        units = ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service")
        files |= {f"/usr/lib/systemd/system/{name}": File(_text(name, version)) for name in units}
        environment = "nvidia-cdi-refresh.env"
        files[f"/etc/nvidia-container-toolkit/{environment}"] = File(_text(environment, version))
        scripts = {name: _text(f"base.{name}", version) for name in ("postinst", "prerm", "postrm")}
    return Package(
        "nvidia-container-toolkit-base",
        _debian(version),
        "NVIDIA Container Toolkit Base (stand-in)",
        fields={"Breaks": "nvidia-container-runtime (<= 3.5.0-1)"},
        files=files,
        scripts=scripts,
    )


def _toolkit(version: str) -> Package:
    own = _debian(version)
    tools = f"libnvidia-container-tools (= {own})"
    if not _at_least(version, 1, 18):
        tools = f"libnvidia-container-tools (>= {own}), libnvidia-container-tools (<< 2.0.0)"
    obsolete = "nvidia-container-runtime (<= 3.5.0-1), nvidia-container-runtime-hook"
    hook = _program("nvidia-container-runtime-hook", version)
    return Package(
        "nvidia-container-toolkit",
        own,
        "NVIDIA Container toolkit (stand-in)",
        fields={
            "Depends": f"nvidia-container-toolkit-base (= {own}), {tools}",
            "Breaks": obsolete,
            "Replaces": obsolete,
        },
        files={"/usr/bin/nvidia-container-runtime-hook": hook},
        scripts={name: _text(f"toolkit.{name}", version) for name in ("postinst", "postrm")},
    )


def _program(name: str, version: str) -> File:
    return File(_text(name, version), 0o755)


def _text(name: str, version: str) -> str:
    spec = "0.7.0" if _at_least(version, 1, 19) else "0.5.0"
    text = (FILES / name).read_text()
    values = {"@VERSION@": version, "@COMMIT@": COMMIT, "@CDI_VERSION@": spec}
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def _debian(version: str) -> str:
    return f"{version}-1"


def _at_least(version: str, major: int, minor: int) -> bool:
    first, second, *_ = (int(part) for part in version.split("."))
    return (first, second) >= (major, minor)
