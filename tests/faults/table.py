"""What became of the cases: a table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.cases import FAULTS, STATES
from tests.faults.trial import Result

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "bench" / "faults.json"


def line(result: Result) -> str:
    """One case as it ends."""
    word = "passed" if result.passed else "FAILED"
    text = (
        f"{word}  {result.case.name} ({result.host}, {result.seconds:.0f} s):"
        f" {result.ended or '-'}, {result.case.end} release, {result.gap:.1f} s without an answer"
    )
    return "\n".join([text, *(f"        {one}" for one in result.complaints)])


def text(results: Sequence[Result]) -> str:
    """Faults by state, then everything else."""
    cells = {(one.case.state, one.case.fault): one for one in results}
    width = max(len(fault) for fault in FAULTS) + 2
    rows = ["How the switch ended, and the longest time without an answer (s):", ""]
    rows.append(" " * 12 + "".join(fault.ljust(width) for fault in FAULTS))
    for state in STATES:
        found = (_cell(cells.get((state, fault))) for fault in FAULTS)
        rows.append((state.ljust(12) + "".join(cell.ljust(width) for cell in found)).rstrip())
    rows.append("")
    for one in results:
        if one.case.fault not in FAULTS:
            rows.append(f"{one.case.name:<44}{_cell(one)}")
    return "\n".join([*rows, "", _sum(results)])


def details(result: Result) -> str:
    """All that helps to find out why a case failed."""
    journal = json.dumps(result.journal, indent=1)
    return f"=== {line(result)}\n--- journal\n{journal}\n{result.said}"


def document(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """For machines."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": _machine(),
        "seconds": round(seconds),
        "failed": sum(not one.passed for one in results),
        "longest_pause_of_a_poller": max((round(one.pause, 2) for one in results), default=0),
        "cases": [_entry(one) for one in results],
    }


def write(found: dict[str, Any]) -> None:
    """Keep it for the README."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(found, indent=1) + "\n")


def _entry(one: Result) -> dict[str, Any]:
    return {
        "case": one.case.name,
        "fault": one.case.fault,
        "state": one.case.state,
        "host": one.host,
        "passed": one.passed,
        "ended": one.ended,
        "runs": one.case.end,
        "resumed": one.resumed,
        "downtime": round(one.gap, 2),
        "pollers_pause": round(one.pause, 2),
        "seconds": round(one.seconds, 1),
        "complaints": one.complaints,
    }


def _cell(one: Result | None) -> str:
    if one is None:
        return "-"
    return f"{one.ended if one.passed else 'FAILED'} {one.gap:.1f}"


def _sum(results: Sequence[Result]) -> str:
    failed = [one for one in results if not one.passed]
    pause = max((one.pause for one in results), default=0)
    return (
        f"{len(results)} cases, {len(failed)} failed;"
        f" the pollers never paused longer than {pause:.2f} s (10 questions a second)"
    )


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
    }
