"""python -m tests.bench: against Ansible, a shell script, and other ways to move a WebUI."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import comparing, downtime, hosts, results
from tests.bench.hosts import BenchError
from tests.lab import Lab, record
from tests.lab.engine import EngineError
from tests.lab.host import HostError
from tests.lab.machine import MachineError
from tests.lab.oci import PushError

ERRORS = (BenchError, EngineError, HostError, MachineError, PushError, subprocess.SubprocessError)
PARTS = (*comparing.PARTS, "downtime")


def main(arguments: list[str] | None = None) -> int:
    """Measure and write bench/results.json; 1 when a measured thing did not do its job.

    Times are reported beside their targets and never decide the exit code.
    """
    given = _parser().parse_args(arguments)
    parts = given.only or PARTS
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            document = _measure(given, parts, Path(folder))
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            hosts.destroy(_hosts(parts))
            record.save([])
    results.update(document)
    results.show(document)
    print(f"\nwritten to {results.PATH.relative_to(results.ROOT)}")
    return 0


def _measure(given: argparse.Namespace, parts: Sequence[str], folder: Path) -> dict[str, Any]:
    lab = Lab.up(0)
    document: dict[str, Any] = {}
    if compared := [part for part in parts if part in comparing.PARTS]:
        document |= comparing.measure(lab, compared, given.rounds, given.bootstraps, folder)
    if "downtime" in parts:
        document["downtime"] = downtime.measure(lab, given.rounds, folder)
    return document


def _hosts(parts: Sequence[str]) -> Sequence[int]:
    """Those that these parts make."""
    return hosts.NUMBERS if {*parts} & {*comparing.PARTS} else [downtime.NUMBER]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts; usually all")
    parser.add_argument("--rounds", type=int, default=5, help="runs or moves of each (5)")
    parser.add_argument("--bootstraps", type=int, default=3, help="bootstraps of each (3)")
    parser.add_argument("--keep", action="store_true", help="leave the hosts for a look at them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
