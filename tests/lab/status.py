"""The table that `status` prints: what really runs, asked of the engine and of the hosts."""

from __future__ import annotations

from collections.abc import Iterable

from docker.models.containers import Container
from rich.console import Console
from rich.table import Table

from tests.lab import engine
from tests.lab.host import LAB, HostError
from tests.lab.lab import Lab


def show() -> None:
    """Print engine, services and hosts."""
    console = Console(width=150, highlight=False)
    try:
        client = engine.connect()
    except engine.EngineError as error:
        console.print(str(error))
        return
    pid = engine.ours()
    started = f"started by the lab, pid {pid}" if pid else "not started by the lab"
    console.print(f"engine {client.version()['Version']} at {engine.SOCKET}, {started}")
    console.print(_table(engine.labelled()))


def _table(containers: Iterable[Container]) -> Table:
    table = Table("name", "state", "address", "login", "gpus", "mode", box=None)
    try:
        known = {host.name: host for host in Lab.load().hosts}
    except HostError:
        known = {}
    for container in containers:
        host = known.get(str(container.name))
        login = f"{host.user} ({host.os})" if host else ""
        table.add_row(
            container.name, _state(container), _address(container), login, *_gpus(container)
        )
    return table


def _state(container: Container) -> str:
    if container.status != "running":
        return str(container.status)
    if not _is_host(container):
        return "running"
    return _output(container, "systemctl is-system-running").strip()


def _address(container: Container) -> str:
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    places = sorted({b["HostIp"] for bound in bindings.values() for b in bound})
    ports = ",".join(sorted((key.partition("/")[0] for key in bindings), key=int))
    return f"{' '.join(places)}:{ports}"


def _gpus(container: Container) -> tuple[str, str]:
    if container.status != "running" or not _is_host(container):
        return "", ""
    lines = _output(container, f"cat {LAB}/gpus.table").splitlines()
    names = [line.split("|")[2] for line in lines if line.startswith("gpu=")]
    mode = next((line[5:] for line in lines if line.startswith("mode=")), "")
    return ", ".join(name.removeprefix("NVIDIA ") for name in names), mode


def _output(container: Container, command: str) -> str:
    output = container.exec_run(command).output
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else ""


def _is_host(container: Container) -> bool:
    return bool(container.labels.get("gpuhost.lab.role") == "host")
