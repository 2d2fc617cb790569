"""`gpuhost.tasks.history`: what ran when, why it changed, and how that went."""

from typing import Any

from rich.table import Table

from gpuhost.hostside.journal import COMMITTED, Journal
from gpuhost.moments import span
from gpuhost.planning.image import short
from gpuhost.tasks.gathering import (
    NOTHING,
    REFUSED,
    Seen,
    as_json,
    console,
    cut,
    everybody,
    leave,
    look,
    only,
    print_json,
)

COLUMNS = (
    "when (UTC)", "host", "instance", "verb", "release", "image", "why", "by", "took", "down",
    "verdict",
)  # fmt: skip


def history() -> None:
    """Print the switches of every instance, newest first, with who asked for them and why.

    `--data instance=` shows one instance, `--data format=json` prints one JSON document. Exits
    with 1 when a host could not be read.
    """
    look(state=False, records=True)
    if (hosts := everybody()) is None:
        return
    found = {name: _switches(seen) for name, seen in hosts.items()}
    if as_json():
        print_json({name: _document(one) for name, one in found.items()})
    else:
        _print(found)
    leave(REFUSED if None in found.values() else NOTHING)


def _switches(seen: Seen) -> list[Journal] | None:
    if seen.records is None:
        return None
    entries = [
        entry
        for name, instance in seen.records.instances.items()
        if only() in ("", name)
        for entry in (*instance.history, *_unfinished(instance.journal))
    ]
    return sorted(entries, key=lambda entry: (entry.ended or entry.began, entry.id), reverse=True)


def _unfinished(entry: Journal | None) -> list[Journal]:
    return [entry] if entry and entry.unfinished else []


def _document(found: list[Journal] | None) -> Any:
    if found is None:
        return {"error": "the host could not be read"}
    return [entry.to_json() for entry in found]


def _print(found: dict[str, list[Journal] | None]) -> None:
    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    rows = [(name, entry) for name, entries in found.items() for entry in entries or ()]
    for name, entry in sorted(rows, key=lambda row: row[1].ended or row[1].began, reverse=True):
        table.add_row(*_cells(name, entry))
    for name in (name for name, entries in found.items() if entries is None):
        table.add_row("-", name, "[red]could not be read[/red]")
    if table.rows:
        console().print(table)
    else:
        console().print("no instance was ever switched")


def _cells(name: str, entry: Journal) -> list[str]:
    return [
        (entry.ended or entry.began)[:16].replace("T", " "),
        name,
        entry.instance,
        entry.kind,
        entry.to,
        short(entry.digest),
        entry.why,
        entry.by,
        span(sum(entry.seconds.values())),
        span(entry.downtime) if entry.downtime else "-",
        _verdict(entry),
    ]


def _verdict(entry: Journal) -> str:
    if entry.state == COMMITTED:
        return f"[green]{entry.state}[/green]"
    reason = f"gate {entry.gate}: {entry.reason}" if entry.gate else entry.reason
    text = f"{entry.state}: {cut(reason)}" if reason else entry.state
    return f"[yellow]{text}[/yellow]"
