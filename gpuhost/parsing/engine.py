"""The container engine, the toolkit and the instances' containers."""

import json
import re
from dataclasses import replace
from typing import Any

from gpuhost.parsing.sections import TIMED_OUT, Section, Sections
from gpuhost.state import Container, Engine, Toolkit


def engine(parts: Sections) -> Engine:
    """The engine as `docker info`, the package database and its unit describe it."""
    facts = parts["engine"].out
    provider = _provider(parts)
    if not provider:
        return Engine()
    version = next((line for line in facts if line.startswith("version ")), "")
    number = re.search(r"version v?([0-9][0-9A-Za-z.+~-]*)", version)
    info, client, detail = _info(parts.get("info"))
    return Engine(
        provider=_refined(provider, info),
        version=info.get("ServerVersion")
        or client.get("Version", "")
        or (number.group(1).rstrip(",") if number else ""),
        running=bool(info),
        detail=detail,
        compose=_compose(client),
        live_restore=bool(info.get("LiveRestoreEnabled")),
        swarm=(info.get("Swarm") or {}).get("LocalNodeState", "inactive") == "active",
        cdi_dirs=tuple(info.get("CDISpecDirs") or ()),
        data_root=info.get("DockerRootDir") or "/var/lib/docker",
        started=_started(facts),
        unit_command=next((line for line in facts if line.startswith("ExecStart=")), ""),
    )


def toolkit(parts: Sections) -> Toolkit:
    """What of the toolkit dockerd and containers meet."""
    rows = [line.split(" ", 1) for line in parts["hooks"].out if " " in line]
    return Toolkit(
        cdi_devices=tuple(value for key, value in rows if key == "device"),
        cdi_driver=next((value for key, value in rows if key == "driver"), ""),
        hooks_changed=max((float(value) for key, value in rows if key == "hook"), default=0),
    )


def container_map(parts: Sections) -> dict[str, Container]:
    """The instances' containers, by name."""
    found: dict[str, Container] = {}
    seen: dict[str, list[str]] = {}
    for line in parts["containers"].out if "containers" in parts else ():
        if line.startswith("{"):
            container = _container(json.loads(line))
            found[container.name] = container
        elif line.startswith("gpu "):
            _, name, said = line.split(" ", 2)
            seen.setdefault(name, []).append(said)
    return {name: _with_gpus(container, seen.get(name)) for name, container in found.items()}


def _container(fields: dict[str, Any]) -> Container:
    return Container(
        name=fields["name"].removeprefix("/"),
        status=fields["status"],
        health=fields["health"],
        image=fields["image"],
        labels=fields["labels"] or {},
        exit_code=fields["exit"],
        error=fields["error"],
        gpus_seen=None,
    )


def _with_gpus(container: Container, lines: list[str] | None) -> Container:
    if not lines:
        return container
    rc = lines[0].split(" ", 1)[0]
    said = tuple(line.split(" ", 1)[1] for line in lines if " " in line)
    if rc == "0":
        return replace(container, gpus_seen=said)
    return replace(container, gpu_error=said[0] if said else f"exit code {rc}")


def _provider(parts: Sections) -> str:
    facts, packages = parts["engine"].out, {row.split()[0] for row in _installed(parts)}
    binary = next((line.split(" ", 1)[1] for line in facts if line.startswith("cli ")), "")
    version = next((line for line in facts if line.startswith("version ")), "").lower()
    if "/snap/" in binary or (not binary and "snap" in facts):
        return "snap"
    if "podman" in version or "podman-docker" in packages:
        return "podman-docker"
    for package, provider in (
        ("docker-ce", "docker-ce"),
        ("docker.io", "docker.io"),
        ("moby-engine", "moby"),
        ("docker", "moby"),
    ):
        if package in packages:
            return provider
    return "unpackaged" if binary else ""


def _installed(parts: Sections) -> list[str]:
    """Installed, or half way there: any of dpkg's states but not-installed and config-files."""
    rows = [line for line in parts["packages"].out if len(line.split()) == 3]
    return [row for row in rows if row.split()[2][1:2] not in ("n", "c")]


def _refined(provider: str, info: dict[str, Any]) -> str:
    if "Docker Desktop" in info.get("OperatingSystem", ""):
        return "desktop"
    if any("rootless" in option for option in info.get("SecurityOptions") or ()):
        return "rootless"
    return provider


def _info(section: Section | None) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What `docker info` says of the server and of the client, and what is wrong with the server.

    With the daemon down it prints a document of zero values, its client's part filled in.
    """
    if section is None:
        return {}, {}, "there is no docker command"
    if section.rc in TIMED_OUT:
        return {}, {}, "docker info did not answer in 15 seconds"
    text = "".join(section.out)
    info: dict[str, Any] = json.loads(text) if text.startswith("{") or not section.rc else {}
    client: dict[str, Any] = info.get("ClientInfo") or {}
    if section.rc or not info.get("ServerVersion"):
        errors = [*section.err, *(info.get("ServerErrors") or []), *_said(section)]
        return {}, client, errors[0]
    return info, client, ""


def _said(section: Section) -> list[str]:
    lines = [line for line in section.out if line and not line.startswith("{")]
    return [*lines, f"exit code {section.rc}" if section.rc else "docker info names no server"]


def _compose(client: dict[str, Any]) -> str:
    """The version of compose v2, which is a plugin of the client."""
    plugins = [one for one in client.get("Plugins") or () if one.get("Name") == "compose"]
    return plugins[0].get("Version", "").removeprefix("v") if plugins else ""


def _started(facts: tuple[str, ...]) -> float:
    active = "ActiveState=active" in facts
    started = next((line.split()[1] for line in facts if line.startswith("started ")), "0")
    return float(started) if active else 0
