"""`gpuhost.tasks.status`: where every instance stands."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from gpuhost.hostside.journal import COMMITTED
from gpuhost.moments import ago, span
from gpuhost.planning.image import gigabytes
from gpuhost.status import InstanceStatus, lines
from gpuhost.tasks.gathering import (
    NOTHING,
    PENDING,
    REFUSED,
    WIDTH,
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
    "host", "instance", "release", "image", "proven", "health", "GPUs", "job", "kept",
    "disk free", "drift", "last switch",
)  # fmt: skip
COLOURS = {"healthy": "green", "running": "green", "starting": "yellow"}


def status() -> None:
    """Print what every instance runs, how it is, and what is open.

    Exits with 0 when all is well, 2 when something is pending or not healthy, 1 when a host could
    not be read or is refused. `--data instance=` shows one instance, `--data format=json` one
    JSON document.
    """
    look(records=True)
    if (hosts := everybody()) is None:
        return
    found = {name: _lines(name, seen) for name, seen in hosts.items()}
    if as_json():
        print_json({name: _document(rows) for name, rows in found.items()})
    else:
        _print(
            found, {name: seen.records.now if seen.records else 0 for name, seen in hosts.items()}
        )
    leave(_exit_code(found))


def _lines(name: str, seen: Seen) -> list[InstanceStatus] | None:
    if seen.session is None or seen.records is None:
        return None
    session = seen.session
    rows = lines(name, session.view, session.plan, seen.records)
    return [row for row in rows if only() in ("", row.instance)]


def _exit_code(found: dict[str, list[InstanceStatus] | None]) -> int:
    if any(rows is None or any(row.refused for row in rows) for rows in found.values()):
        return REFUSED
    well = all(row.well for rows in found.values() for row in rows or ())
    return NOTHING if well else PENDING


def _document(rows: list[InstanceStatus] | None) -> dict[str, Any]:
    if rows is None:
        return {"error": "the host could not be read"}
    return {"instances": [{**asdict(row), "well": row.well} for row in rows]}


def _print(found: dict[str, list[InstanceStatus] | None], clocks: dict[str, float]) -> None:
    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    for name, rows in found.items():
        if rows is None:
            table.add_row(name, "[red]could not be read[/red]")
        for row in rows or ():
            table.add_row(*_cells(row, clocks[name]))
    console().print(table)
    for name, rows in found.items():
        for row in rows or ():
            for remark in row.remarks:
                text = cut(f"{name}, {row.instance}: {remark}", WIDTH)
                console().print(text, style="dim", markup=False)


def _cells(row: InstanceStatus, now: float) -> list[str]:
    colour = COLOURS.get(row.health, "red")
    return [
        row.host,
        row.instance,
        row.release or "-",
        row.image or "-",
        "no" if row.age is None else f"{span(row.age)} ago",
        f"[{colour}]{row.health}[/{colour}]",
        "-" if row.gpus is None else str(row.gpus),
        row.busy,
        str(row.proven),
        "-" if row.disk_free is None else gigabytes(row.disk_free),
        _drift(row),
        _last(row, now),
    ]


def _drift(row: InstanceStatus) -> str:
    if row.refused:
        return "[red]refused[/red]"
    return "none" if not row.drift else f"[yellow]{row.drift} open[/yellow]"


def _last(row: InstanceStatus, now: float) -> str:
    if row.last is None:
        return "never"
    when = ago(row.last.ended or row.last.began, now)
    text = f"{row.last.state}, {when}" if when else row.last.state
    return text if row.last.state == COMMITTED else f"[yellow]{text}[/yellow]"
