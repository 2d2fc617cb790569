"""The report that the probe would print about a `HostState`."""

import base64
import ipaddress
import json

from gpuhost.state import Container, HostState

LIKE = {"rhel": "rhel fedora", "suse": "suse opensuse", "debian": "debian", "": ""}


def report(state: HostState, now: float) -> list[str]:
    """Line by line, in the form of `facts/probe.sh`."""
    parts = {
        "system": _system(state, now),
        "pci": [f"{card.address} {card.device} {card.driver}" for card in state.gpus.pci],
        "special": [f"Python {state.system.python}"] if state.system.python else [],
        "packages": [f"{name} {version} ii " for name, version in state.packages.items()],
        "sources": [
            f"{word} {path}" for word, paths in state.foreign_sources.items() for path in paths
        ],
        "files": [
            f"{file.kind} {file.mode:o} {file.owner} {file.path}" for file in state.files.values()
        ],
        "sums": [f"{file.sha256}  {file.path}" for file in state.files.values() if file.sha256],
        "contents": [
            f"{file.path} {base64.b64encode(file.content).decode()}"
            for file in state.files.values()
            if file.content is not None
        ],
        "disks": [
            f"{path} {disk.mount} {disk.free} {disk.size}" for path, disk in state.disks.items()
        ],
        "ports": [_socket(*socket) for socket in sorted(state.ports)],
        "units": list(state.busy_units),
        "hooks": _hooks(state),
        "engine": [],
        **_engine(state),
        **_gpus(state),
    }
    return [
        line
        for name, out in parts.items()
        for line in (f"@ {name} 0", *(f"| {one}" for one in out))
    ]


def _system(state: HostState, now: float) -> list[str]:
    system = state.system
    clock = f"{now + system.clock_offset:.9f}"
    reboot = "reboot-required" if system.reboot_required else "-"
    release = [
        f'PRETTY_NAME="{system.name}"',
        f"ID={system.id}",
        f'ID_LIKE="{LIKE[system.family]}"',
        f'VERSION_ID="{system.version}"',
        f"VERSION_CODENAME={system.codename}",
    ]
    return [system.arch, system.kernel, system.init, clock, reboot, *release]


def _gpus(state: HostState) -> dict[str, list[str]]:
    rows = [
        f"{card.index}, {card.uuid}, {card.name}, {card.driver}, {card.capability or '[N/A]'},"
        f" {card.memory_mib or '[N/A]'}, {'Enabled' if card.mig else '[N/A]'}"
        for card in state.gpus.cards
    ]
    return {"smi": rows, "listing": list(state.gpus.listing)}


def _hooks(state: HostState) -> list[str]:
    toolkit = state.toolkit
    lines = [f"hook {toolkit.hooks_changed:.0f}"] if toolkit.hooks_changed else []
    lines += [f"device {name}" for name in toolkit.cdi_devices]
    return lines + ([f"driver {toolkit.cdi_driver}"] if toolkit.cdi_driver else [])


def _engine(state: HostState) -> dict[str, list[str]]:
    engine = state.engine
    if not engine.provider:
        return {}
    info = {
        "ServerVersion": engine.version if engine.running else "",
        "LiveRestoreEnabled": engine.live_restore,
        "CDISpecDirs": list(engine.cdi_dirs) or None,
        "DockerRootDir": engine.data_root,
        "ClientInfo": {"Plugins": [{"Name": "compose", "Version": engine.compose}]},
    }
    active = "active" if engine.running else "inactive"
    return {
        "engine": [
            "cli /usr/bin/docker",
            f"version Docker version {engine.version}, build 0",
            f"started {engine.started:.0f}",
            f"ActiveState={active}",
        ],
        "info": [json.dumps(info)],
        "images": sorted(state.images),
        "containers": [line for one in state.containers.values() for line in _container(one)],
    }


def _container(container: Container) -> list[str]:
    fields = {
        "name": f"/{container.name}",
        "status": container.status,
        "health": container.health,
        "image": container.image,
        "labels": dict(container.labels),
        "exit": container.exit_code,
        "error": container.error,
    }
    seen = container.gpus_seen or ()
    return [json.dumps(fields), *(f"gpu {container.name} 0 {line}" for line in seen)]


def _socket(address: str, port: int) -> str:
    packed = ipaddress.ip_address(address).packed
    words = [packed[i : i + 4][::-1].hex().upper() for i in range(0, len(packed), 4)]
    return f"{''.join(words)}:{port:04X}"
