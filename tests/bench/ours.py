"""gpuhost, as a person runs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.hosts import BenchError
from tests.bench.running import Run, measured
from tests.lab import LabHost

PYINFRA = Path(sys.executable).with_name("pyinfra")
COMMAND = [str(PYINFRA), "-y", "inventories/lab.py", "deploy.py"]
TOTAL = re.compile(r"Grand total +(\S+) +(\S+) +(\S+) +(\S+)")


def deploy(targets: Sequence[LabHost]) -> Run:
    """One run of deploy.py; every host must end healthy."""
    run = measured(
        COMMAND,
        targets,
        {"GPUHOST_LAB_HOSTS": " ".join(host.name for host in targets), "COLUMNS": "200"},
    )
    for host in targets:
        if not re.search(rf"^{host.name}\s.*\shealthy\s", run.output, re.MULTILINE):
            raise BenchError(f"pyinfra: {host.name}: should end healthy:\n{run.output[-2000:]}")
    return run


def no_change(targets: Sequence[LabHost]) -> Run:
    """One run that must find nothing to do."""
    run = deploy(targets)
    total = TOTAL.search(run.output)
    if total is None or total[2] not in ("-", "0") or total[3] not in ("-", "0"):
        raise BenchError(f"pyinfra: should change nothing:\n{run.output[-3000:]}")
    return run
