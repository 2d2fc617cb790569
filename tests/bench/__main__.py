"""python -m tests.bench: a no-change run against Ansible, a bootstrap against a shell script."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import drift, hosts, ours, playbook, results
from tests.bench.byhand import ByHand
from tests.bench.hosts import BenchError
from tests.bench.playbook import Playbook
from tests.bench.running import Run, unchanged
from tests.lab import Lab, LabHost, record
from tests.lab.engine import EngineError
from tests.lab.host import HostError
from tests.lab.machine import MachineError
from tests.lab.steps import say, step

ERRORS = (BenchError, EngineError, HostError, MachineError, subprocess.CalledProcessError)
Tool = Callable[[Sequence[LabHost]], Run]


def main(arguments: list[str] | None = None) -> int:
    """Measure and write bench/results.json; 1 when a measured thing did not do its job.

    Times are reported beside their targets and never decide the exit code.
    """
    given = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            document = _measure(given, Path(folder))
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            hosts.destroy_all()
            record.save([])
    results.write(document)
    results.show(document)
    print(f"\nwritten to {results.PATH.relative_to(results.ROOT)}")
    return 0


def _measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    versions = playbook.ensure_ansible()
    lab = Lab.up(0)
    targets = _prepared(lab)
    engine = targets[0].run("docker version --format '{{.Server.Version}}'", check=True).out
    document = results.circumstances(versions, engine.strip())
    ansible = Playbook(lab, folder)
    ansible.prepare(targets)
    try:
        drift.check(targets[:2], ansible)
        document["no_change"] = [
            _no_change(count, targets[:count], ansible, given.rounds) for count in (1, len(targets))
        ]
    finally:
        ansible.disconnect()
    document["bootstrap"] = _bootstrap(lab, targets[0], folder / "byhand", given.bootstraps)
    return document


def _prepared(lab: Lab) -> list[LabHost]:
    with step(f"bare hosts {' '.join(hosts.names())}"):
        targets = [hosts.recreate(lab, name) for name in hosts.names()]
    with step("bootstrapped by gpuhost"):
        ours.deploy(targets)
    say(f"installing {' '.join(hosts.PYTHON)} on them: Ansible needs it there")
    with step("installed"), ThreadPoolExecutor(2) as pool:
        list(pool.map(hosts.install_python, targets))
    for host in targets:
        hosts.log_sessions(host)
    return targets


def _no_change(
    count: int, targets: Sequence[LabHost], ansible: Playbook, rounds: int
) -> dict[str, Any]:
    runs: dict[str, list[Run]] = {"gpuhost": [], "ansible": []}
    tools: list[tuple[str, Tool]] = [("gpuhost", ours.no_change), ("ansible", ansible.no_change)]
    for _, tool in tools:
        unchanged(tool, targets)
    for number in range(1, rounds + 1):
        for name, tool in tools:
            run = unchanged(tool, targets)
            runs[name].append(run)
            say(f"no change, {count} hosts, round {number}: {name}: {run.seconds:.2f} s")
        tools.reverse()
    return results.no_change(count, runs["gpuhost"], runs["ansible"])


def _bootstrap(lab: Lab, finished: LabHost, folder: Path, rounds: int) -> dict[str, Any]:
    by_hand = ByHand(lab, finished, folder)
    took: dict[str, list[tuple[float, float]]] = {"gpuhost": [], "script": []}

    def by_gpuhost(host: LabHost) -> tuple[float, float]:
        run = ours.deploy([host])
        return run.seconds, run.load

    ways = [("gpuhost", by_gpuhost), ("script", by_hand.bootstrap)]
    for number in range(1, rounds + 1):
        for name, way in ways:
            took[name].append(way(hosts.recreate(lab, finished.name)))
            say(f"bootstrap, round {number}: {name}: {took[name][-1][0]:.1f} s")
        ways.reverse()
    return results.bootstrap(took["gpuhost"], took["script"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="no-change runs of each (5)")
    parser.add_argument("--bootstraps", type=int, default=3, help="bootstraps of each (3)")
    parser.add_argument("--keep", action="store_true", help="leave the hosts for a look at them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
