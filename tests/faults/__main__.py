"""python -m tests.faults: the fault matrix, from fresh hosts to the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import matrix, table
from tests.faults.cases import CASES, Case
from tests.faults.stand import Stand, Unready
from tests.faults.trial import Result
from tests.lab import HostError, Lab
from tests.lab.engine import EngineError
from tests.lab.machine import MachineError

ERRORS = (EngineError, HostError, MachineError, Unready)


def main(arguments: list[str] | None = None) -> int:
    """Try all cases, or those whose names hold some words; 1 when one failed."""
    given = _parser().parse_args(arguments)
    words: list[str] = given.words
    cases = [one for one in CASES if not words or any(word in one.name for word in words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            results = _results(cases, Path(given.at or folder), given)
        except ERRORS as error:
            print(error, file=sys.stderr)
            return 1
    return _conclude(results, time.monotonic() - began, whole=not words)


def _results(cases: Sequence[Case], folder: Path, given: argparse.Namespace) -> list[Result]:
    lab = Lab.up(0)
    names = matrix.names(cases)
    stands: list[Stand] = []
    try:
        if given.kept:
            stands = [Stand.kept(lab, name, folder) for name in names]
        else:
            stands = matrix.prepare(lab, cases, folder)
        return matrix.run(stands, cases, folder, _tell, given.first)
    finally:
        if not (given.at or given.kept):
            matrix.destroy(Lab.load(), names)


def _tell(result: Result) -> None:
    print(table.line(result), flush=True)


def _conclude(results: Sequence[Result], seconds: float, whole: bool) -> int:
    failed = [one for one in results if not one.passed]
    for one in failed:
        print(f"\n{table.details(one)}")
    print(f"\n{table.text(results)}; {seconds / 60:.0f} minutes")
    if whole:
        table.write(table.document(results, seconds))
        print(f"written to {table.PATH.relative_to(table.ROOT)}")
    return 1 if failed or not results else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("words", nargs="*", help="only cases whose names hold one of these")
    parser.add_argument("--at", metavar="FOLDER", help="keep inventories there, and the hosts")
    parser.add_argument("--kept", action="store_true", help="take the hosts that --at left")
    parser.add_argument("--first", type=int, default=0, help="first serial number of images")
    return parser


if __name__ == "__main__":
    sys.exit(main())
