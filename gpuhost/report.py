"""The table at the end of a run: what every host is now, and where it stands."""

import atexit
import ipaddress
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuhost.hostside.journal import COMMITTED, ROLLED_BACK, SKIPPED, STRANDED, Journal
from gpuhost.release import container_name
from gpuhost.verdict import HostVerdict, Outcome

if TYPE_CHECKING:
    from gpuhost.session import Session

BEGAN = time.time(), time.monotonic()
"""When this run began: the time of day, and a clock that does not jump."""
COLUMNS = ("host", "gpu", "driver", "engine", "toolkit", "image", "health", "url")


@dataclass
class Entry:
    """What is known of one host at the end."""

    cells: list[list[str]] = field(default_factory=list)
    failure: str = ""
    hint: str = ""
    switches: list[Journal] = field(default_factory=list)
    concluded: bool = False
    pruned_bytes: int = 0
    session: "Session | None" = field(default=None, repr=False)


_entries: dict[str, Entry] = {}


def expect(session: "Session") -> None:
    """A host takes part in this run."""
    if not _entries:
        atexit.register(print_table)
    _entries.setdefault(session.host.name, Entry()).session = session


def sessions() -> list["Session"]:
    """Those of this run's hosts that could be read."""
    found = [entry.session for entry in _entries.values()]
    return [one for one in found if one and one.state]


def concluded(host: str) -> None:
    """A host came to its end without a failure."""
    _entries.setdefault(host, Entry()).concluded = True


def skipped(host: str) -> bool:
    """Whether a switch on a host was put off."""
    return any(one.state == SKIPPED for one in switches(host))


def switches(host: str) -> list[Journal]:
    """The switches that ended on a host in this run."""
    return _entries[host].switches if host in _entries else []


def pruned(host: str, size: int) -> None:
    """Bytes that a prune freed."""
    _entries.setdefault(host, Entry()).pruned_bytes += size


def verdicts(hosts: Iterable[str]) -> dict[str, HostVerdict]:
    """What became of each host."""
    return {name: _verdict(_entries.get(name, Entry())) for name in hosts}


def _verdict(entry: Entry) -> HostVerdict:
    last = entry.switches[-1] if entry.switches else None
    return HostVerdict(
        outcome=_outcome(entry),
        before=last.back_digest if last else "",
        after=last.digest if last and last.state == COMMITTED else "",
        reason=entry.failure or (last.reason if last else "") or _lost(entry),
        seconds=sum(sum(one.seconds.values()) for one in entry.switches),
        downtime=max((one.downtime for one in entry.switches), default=0),
        pruned_bytes=entry.pruned_bytes,
    )


def _outcome(entry: Entry) -> Outcome:
    states = {one.state for one in entry.switches}
    if STRANDED in states:
        return "stranded"
    if entry.failure or not entry.concluded:
        return "rolled back" if ROLLED_BACK in states else "failed"
    if SKIPPED in states:
        return "skipped"
    return "updated" if COMMITTED in states else "nothing to do"


def _lost(entry: Entry) -> str:
    return "" if entry.concluded else "it did not come to an end"


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
