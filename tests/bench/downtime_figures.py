"""The figures of a switch's downtime: medians, spreads, and ours against the limit."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

TARGET = 1.2
"""Ours: at most so many times a mere restart."""
LABELS = {
    "gpuhost": "gpuhost.tasks.update",
    "compose": "compose pull, up -d",
    "by_hand": "rm -f, pull, run",
    "restart": "docker restart (the limit)",
}


@dataclass(frozen=True)
class Gap:
    """Seconds without an answer in one move."""

    fine: float
    coarse: float
    """By the questions alone that the usual poller would ask."""
    apart: float
    """Those not in the longest stretch: 0 unless answers were missing elsewhere too."""
    load: float


class Named(Protocol):
    """The way it was moved."""

    @property
    def name(self) -> str: ...

    @property
    def command(self) -> str: ...


def of(megabytes: int, taken: Iterable[tuple[Named, Sequence[Gap]]]) -> dict[str, Any]:
    """All ways at one size, each with its ratio to the limit."""
    ways = {way.name: _way(way.command, moves) for way, moves in taken}
    limit = ways["restart"]["median_seconds"]
    for figures in ways.values():
        figures["ratio_to_limit"] = round(figures["median_seconds"] / limit, 2)
    return {"image_mib": megabytes, **ways, "target_at_most": TARGET}


def show(document: dict[str, Any]) -> None:
    """Print a table for each size, and the bytes of an update."""
    fine, coarse = document["questions_per_second"], document["coarse_questions_per_second"]
    print(f"\nDowntime of a switch: seconds without an answer, asked {fine} times a second"
          f" ({coarse} times)")  # fmt: skip
    print(f"{'MiB':>5} {'way':<27} {'median':>8} {'spread':>13} {'ratio':>7} {'target':>8}")
    for size in document["sizes"]:
        for name, label in LABELS.items():
            _show_way(size, name, label)
    for name in LABELS:
        print(f"  {name}: {document['sizes'][-1][name]['command']}")
    part = document["last_layer"]
    print("\nBytes pulled by an update that changed only the last of the image's large layers")
    print(
        f"{part['bytes_pulled'] / 1e6:.1f} MB of {part['bytes_whole'] / 1e6:.1f} MB:"
        f" {part['part']:.0%}; what changed has {part['bytes_changed'] / 1e6:.1f} MB"
    )


def _show_way(size: dict[str, Any], name: str, label: str) -> None:
    way = size[name]
    low, high = way["spread"]
    target = f"<= {size['target_at_most']:g}x" if name == "gpuhost" else ""
    print(
        f"{size['image_mib']:>5} {label:<27} {way['median_seconds']:>7.2f}s"
        f" {low:>5.2f} - {high:<5.2f} {way['ratio_to_limit']:>6.2f}x {target:>8}"
        f"   ({way['median_seconds_coarse']:.1f}s)"
    )


def _way(command: str, moves: Sequence[Gap]) -> dict[str, Any]:
    fine, coarse = [one.fine for one in moves], [one.coarse for one in moves]
    return {
        "command": command,
        "seconds": [round(one, 3) for one in fine],
        "median_seconds": round(statistics.median(fine), 3),
        "spread": [round(min(fine), 3), round(max(fine), 3)],
        "seconds_coarse": [round(one, 2) for one in coarse],
        "median_seconds_coarse": round(statistics.median(coarse), 2),
        "seconds_apart": [round(one.apart, 2) for one in moves],
        "load_average": [round(one.load, 1) for one in moves],
    }
