"""Run a program and know what it cost."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import hosts
from tests.bench.hosts import BenchError
from tests.lab import LabHost

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """One measured run."""

    seconds: float
    """Wall clock."""
    cpu_seconds: float
    """User and system time of the tool's own processes on this machine, not of the hosts."""
    load: float
    """One-minute load average when it began."""
    commands: dict[str, int]
    """Remote commands by host."""
    output: str


def measured(
    command: Sequence[str],
    targets: Sequence[LabHost],
    environment: Mapping[str, str],
    stdin: bytes = b"",
) -> Run:
    """Run a program to its end; BenchError with the end of its output when it fails."""
    marks = {host.name: hosts.mark(host) for host in targets}
    load, cpu, began = os.getloadavg()[0], _cpu(), time.monotonic()
    done = subprocess.run(
        list(command), cwd=ROOT, env={**os.environ, **environment}, input=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    seconds, cpu = time.monotonic() - began, _cpu() - cpu
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        tail = "\n    ".join(output.splitlines()[-25:])
        raise BenchError(f"{command[0]}: exit code {done.returncode}:\n    {tail}")
    counted = {host.name: hosts.sessions_since(host, marks[host.name]) for host in targets}
    return Run(seconds, cpu, load, counted, output)


def unchanged(tool: Callable[[Sequence[LabHost]], Run], targets: Sequence[LabHost]) -> Run:
    """Run a tool that must find nothing to do, and see from outside that it did nothing."""
    before = {host.name: hosts.fingerprint(host) for host in targets}
    run = tool(targets)
    for host in targets:
        after = hosts.fingerprint(host)
        if after != before[host.name]:
            lines = sorted(set(after.splitlines()) ^ set(before[host.name].splitlines()))
            raise BenchError(f"{host.name}: a no-change run touched: {' | '.join(lines)}")
    return run


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
