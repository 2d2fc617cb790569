"""A no-change run against Ansible, and a bootstrap against a shell script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import drift, hosts, ours, playbook, results
from tests.bench.byhand import ByHand
from tests.bench.playbook import Playbook
from tests.bench.running import Run, unchanged
from tests.lab import Lab, LabHost
from tests.lab.steps import say, step

Tool = Callable[[Sequence[LabHost]], Run]
PARTS = ("no_change", "bootstrap")


def measure(
    lab: Lab, parts: Sequence[str], rounds: int, bootstraps: int, folder: Path
) -> dict[str, Any]:
    """The parts that are asked for, and under which circumstances."""
    versions = playbook.ensure_ansible()
    targets = _prepared(lab)
    engine = targets[0].run("docker version --format '{{.Server.Version}}'", check=True).out
    document = results.circumstances(versions, engine.strip())
    if "no_change" in parts:
        document["no_change"] = _against_ansible(Playbook(lab, folder), targets, rounds)
    if "bootstrap" in parts:
        document["bootstrap"] = _bootstrap(lab, targets[0], folder / "byhand", bootstraps)
    return document


def _against_ansible(
    ansible: Playbook, targets: Sequence[LabHost], rounds: int
) -> list[dict[str, Any]]:
    ansible.prepare(targets)
    try:
        drift.check(targets[:2], ansible)
        counts = (1, len(targets))
        return [_no_change(count, targets[:count], ansible, rounds) for count in counts]
    finally:
        ansible.disconnect()


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
