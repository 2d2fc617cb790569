"""What was measured: written down as JSON, printed as tables, judged against the targets."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from tests.bench import downtime_figures
from tests.bench.running import ROOT, Run
from tests.lab.places import write_atomically

PATH = ROOT / "bench" / "results.json"
TARGETS = {1: 10.0, 5: 20.0}
"""No-change run, by hosts: at least so many times faster than Ansible."""
BOOTSTRAP_TARGET = 1.15
"""Bootstrap: at most this many times the time of the same commands by hand."""


def tool(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of one tool in one situation."""
    return {
        "seconds": [round(run.seconds, 3) for run in runs],
        "median_seconds": _median(run.seconds for run in runs),
        "median_cpu_seconds_here": _median(run.cpu_seconds for run in runs),
        "commands_per_host": statistics.median(n for run in runs for n in run.commands.values()),
        "load_average": [round(run.load, 1) for run in runs],
    }


def no_change(count: int, ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, Any]:
    """Both tools on `count` hosts, and the ratio of their medians."""
    a, b = tool(ours), tool(theirs)
    return {
        "hosts": count,
        "gpuhost": a,
        "ansible": b,
        "ratio": round(b["median_seconds"] / a["median_seconds"], 1),
        "ratio_cpu_here": round(b["median_cpu_seconds_here"] / a["median_cpu_seconds_here"], 1),
        "target_at_least": TARGETS[count],
    }


def bootstrap(
    ours: Sequence[tuple[float, float]], byhand: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Both ways of a bootstrap, as (seconds, load) each, and the ratio of their medians."""
    figures: dict[str, dict[str, Any]] = {
        name: {
            "seconds": [round(seconds, 2) for seconds, _ in runs],
            "median_seconds": _median(seconds for seconds, _ in runs),
            "load_average": [round(load, 1) for _, load in runs],
        }
        for name, runs in (("gpuhost", ours), ("script", byhand))
    }
    ratio = figures["gpuhost"]["median_seconds"] / figures["script"]["median_seconds"]
    return {**figures, "ratio": round(ratio, 3), "target_at_most": BOOTSTRAP_TARGET}


def circumstances(versions: dict[str, str], engine: str) -> dict[str, Any]:
    """Machine, date and versions."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024**2
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gib": round(memory, 1),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "hosts_run_here": True,
        },
        "ansible": {
            "forks": 50,
            "pipelining": True,
            "facts_gathered": False,
            "connections": "kept open between runs by ControlPersist; gpuhost connects anew",
        },
        "versions": {"pyinfra": version("pyinfra"), **versions, "docker on hosts": engine},
    }


def update(document: dict[str, Any]) -> None:
    """Replace bench/results.json in one rename; parts that were not measured stay as they are."""
    before = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    write_atomically(PATH, json.dumps({**before, **document}, indent=2) + "\n")


def show(document: dict[str, Any]) -> None:
    """Print the figures beside their targets."""
    if parts := document.get("no_change"):
        _show_no_change(parts)
    if part := document.get("bootstrap"):
        a, b = part["gpuhost"]["median_seconds"], part["script"]["median_seconds"]
        print("\nBootstrap of one bare host, medians of wall-clock seconds")
        print(f"gpuhost {a:.1f}s, shell script {b:.1f}s: ratio {part['ratio']:.2f}"
              f" (target <= {part['target_at_most']})")  # fmt: skip
    if part := document.get("downtime"):
        downtime_figures.show(part)


def _show_no_change(parts: Sequence[dict[str, Any]]) -> None:
    print("\nNo-change run, medians of wall-clock seconds; remote commands per host")
    print(f"{'hosts':>5} {'gpuhost':>9} {'ansible':>9} {'ratio':>8} {'target':>8}   commands")
    for part in parts:
        a, b, target = part["gpuhost"], part["ansible"], f">= {part['target_at_least']:g}x"
        print(
            f"{part['hosts']:>5} {a['median_seconds']:>8.2f}s {b['median_seconds']:>8.2f}s"
            f" {part['ratio']:>7.1f}x {target:>8}"
            f"   {a['commands_per_host']:g} against {b['commands_per_host']:g}"
        )


def _median(values: Any) -> float:
    return round(float(statistics.median(values)), 3)
