"""`gpuhost.tasks.prune`: what goes, what stays and why, and then it goes."""

import atexit
from dataclasses import asdict
from typing import Any

from rich.table import Table

from gpuhost.deploys import stages
from gpuhost.operations import prune as pruning
from gpuhost.planning.image import gigabytes
from gpuhost.retention import Item, Retention, decide
from gpuhost.retention.rules import rules_of
from gpuhost.session import Session
from gpuhost.tasks.gathering import as_json, console, look, print_json, this_host

_found: dict[str, dict[str, Any]] = {}


def prune() -> None:
    """Remove releases, images and containers of ours that nothing needs any more.

    Every host's list is printed first; `--dry` ends there. `--data format=json` prints one JSON
    document at the end, with what was really freed.
    """
    seen = look(state=False, records=True)
    name = this_host().name
    if as_json() and not _found:
        atexit.register(_print_document)
    if seen.session is None or seen.records is None:
        _found[name] = {"error": "the host could not be read"}
        return
    decided = decide(seen.records, rules_of(seen.session.settings, seen.session.resolver.written))
    _found[name] = _document(decided, seen.records.problem)
    if not as_json():
        _print(name, decided, seen.records.problem)
    _act(seen.session, bool(decided.removed), seen.records.broken)


def _act(session: Session, going: bool, broken: bool) -> None:
    if going:
        stages.hold_for(session)
    if going or broken:
        pruning.prune(name="Prune", session=session)


def _document(decided: Retention, problem: str) -> dict[str, Any]:
    return {
        "problem": problem,
        "bytes": {"least": decided.own, "most": decided.size},
        "removed": [_item(one) for one in decided.removed],
        "kept": [_item(one) for one in decided.kept],
    }


def _item(one: Item) -> dict[str, Any]:
    return {key: asdict(one)[key] for key in ("kind", "id", "name", "why", "size", "own")}


def _print(name: str, decided: Retention, problem: str) -> None:
    if problem:
        console().print(f"{name}: {problem}", markup=False)
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for one in decided.removed:
        table.add_row("  [yellow]goes[/yellow]", *_cells(one))
    for one in decided.kept:
        table.add_row("  [green]stays[/green]", *_cells(one))
    console().print(f"{name}: {_sum(decided)}", style="bold", markup=False)
    console().print(table)


def _cells(one: Item) -> list[str]:
    return [one.kind, _short(one.name), _size(one), one.why]


def _sum(decided: Retention) -> str:
    if not decided.removed:
        return "nothing to prune"
    least, most = gigabytes(decided.own), gigabytes(decided.size)
    room = most if least == most else f"{least} to {most}"
    return f"{len(decided.removed)} to go, {room}"


def _size(one: Item) -> str:
    if not one.size:
        return ""
    whole = gigabytes(one.size)
    return whole if one.own is None else f"{whole}, {gigabytes(one.own)} of its own"


def _short(name: str) -> str:
    """A name with no more than twelve digits of its digest."""
    before, at, digest = name.partition("sha256:")
    return f"{before}{digest[:12]}" if at else name


def _print_document() -> None:
    print_json({name: {**one, **_result(name)} for name, one in sorted(_found.items())})


def _result(name: str) -> dict[str, Any]:
    result = pruning.results.get(name)
    return {"freed": result["freed"], "done": result["done"]} if result else {}
