"""The table at the end of a run: what every host is now, and where it stands."""

import atexit
import ipaddress
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuhost.hostside.journal import Journal
from gpuhost.release import container_name

if TYPE_CHECKING:
    from gpuhost.session import Session

COLUMNS = ("host", "gpu", "driver", "engine", "toolkit", "image", "health", "url")


@dataclass
class Entry:
    """What is known of one host at the end."""

    cells: list[list[str]] = field(default_factory=list)
    failure: str = ""
    hint: str = ""
    switches: list[Journal] = field(default_factory=list)


_entries: dict[str, Entry] = {}


def expect(host: str) -> None:
    """A host takes part in this run."""
    if not _entries:
        atexit.register(print_table)
    _entries.setdefault(host, Entry())


def seen(session: "Session") -> None:
    """Take over what was observed of a host."""
    entry = _entries.setdefault(session.host.name, Entry())
    entry.cells = rows(session)
    instance = session.settings.webui_instances[0]
    address = session.settings.address_of(instance)
    if ipaddress.ip_address(address).is_loopback and session.address != "localhost":
        entry.hint = _tunnel(address, instance.port)


def switched(host: str, entry: Journal) -> None:
    """A switch on a host ended."""
    _entries.setdefault(host, Entry()).switches.append(entry)


def failed(host: str, reason: str) -> None:
    """A host failed; the first reason counts."""
    entry = _entries.setdefault(host, Entry())
    entry.failure = entry.failure or reason


def rows(session: "Session") -> list[list[str]]:
    """One row per instance."""
    state = session.view.state
    gpus = _counted([card.name.removeprefix("NVIDIA ") for card in state.gpus.cards])
    head = [
        session.host.name,
        gpus or state.gpus.problem,
        state.gpus.driver or "-",
        f"{state.engine.provider} {state.engine.version}".strip() or "-",
        state.packages.get("nvidia-container-toolkit", "-"),
    ]
    found = []
    for instance in session.settings.webui_instances:
        container = state.containers.get(container_name(instance.name))
        image = container.image.rpartition("sha256:")[2][:12] if container else "-"
        health = (container.health or container.status) if container else "missing"
        address = session.settings.address_of(instance)
        url = f"http://{_reachable(address, session.address)}:{instance.port}/"
        found.append([*head, image, health, url])
    return found


def print_table() -> None:
    """Print all hosts of this run; nothing when stdout must stay pure JSON."""
    if "--json" in sys.argv or not _entries:
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    for name, entry in sorted(_entries.items()):
        for cells in entry.cells or [[name, *["-"] * (len(COLUMNS) - 1)]]:
            if entry.failure:
                cells = [*cells[:-2], "[red]failed[/red]", entry.failure]
            table.add_row(*cells)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print()
    console.print(table)
    if hints := [entry.hint for entry in _entries.values() if entry.hint]:
        console.print(hints[0], style="dim")


def _counted(names: list[str]) -> str:
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counts.items())


def _reachable(address: str, host: str) -> str:
    if address in ("0.0.0.0", "::"):  # noqa: S104
        return host
    return f"[{address}]" if ":" in address else address


def _tunnel(address: str, port: int) -> str:
    place = f"{_reachable(address, '')}:{port}"
    return f"{place} is the host's own loopback: ssh -L {port}:{place} HOST brings it here."
