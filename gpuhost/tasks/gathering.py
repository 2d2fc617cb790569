"""What the hosts of a run have said, one after the other, until all have."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.console import Console

from gpuhost.facts.records import HostRecords as RecordsFact
from gpuhost.host_records import HostRecords
from gpuhost.session import Session, current

NOTHING, REFUSED, PENDING = 0, 1, 2
"""Exit codes: all is well, something could not be done or read, something is to be done."""
WIDTH = 200
"""Columns where there is no terminal to measure."""


@dataclass(frozen=True)
class Seen:
    """One host as it was found; None for what could not be read, or was not asked for."""

    session: Session | None = None
    records: HostRecords | None = None


_seen: dict[str, Seen] = {}


def this_host() -> Host:
    """The host that a verb is called for."""
    found: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return found


def look(state: bool = True, records: bool = False) -> Seen:
    """Read this host: its state, its records, or both."""
    session = current(this_host())
    found = Seen()
    try:
        if not state or session.observe():
            found = Seen(session, _records(session.host) if records else None)
    except PyinfraError:
        found = Seen()
    _seen[session.host.name] = found
    return found


def everybody() -> dict[str, Seen] | None:
    """All hosts of the run by name, once the last was looked at; those that were lost are empty."""
    state = this_host().state
    if not {one.name for one in state.activated_hosts} <= set(_seen):
        return None
    lost = {one.name: Seen() for one in state.failed_hosts if one.name not in _seen}
    return dict(sorted({**_seen, **lost}.items()))


def as_json() -> bool:
    """Whether `--data format=json` was given."""
    host = this_host()
    given: object = host.data.get("format")
    return given == "json"


def only() -> str:
    """The instance of `--data instance=`; "" for all."""
    host = this_host()
    given: object = host.data.get("instance")
    return str(given or "")


def print_json(document: Mapping[str, Any]) -> None:
    """One document on stdout."""
    print(json.dumps(document, indent=2))


def console() -> Console:
    """Where tables go."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def cut(text: str, width: int = 80) -> str:
    """A text that is no longer than that, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def leave(code: int) -> NoReturn:
    """End the run."""
    sys.stdout.flush()
    raise SystemExit(code)


def _records(host: Host) -> HostRecords | None:
    found: HostRecords | None = host.get_fact(RecordsFact)
    return found
