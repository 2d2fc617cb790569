"""Run gpuhost on lab hosts as a person does: the pyinfra command line, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600
"""Seconds for one run."""
REMOTE_COMMAND = re.compile(r"Running command on (\S+):")


@dataclass(frozen=True)
class Run:
    """What one run of pyinfra left."""

    rc: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams."""
        return self.err + self.out

    def commands(self, host: str) -> int:
        """Remote commands sent to a host, counted at the connector (needs --debug)."""
        return REMOTE_COMMAND.findall(self.err).count(host)

    def plan(self) -> dict[str, Any]:
        """The plan that `gpuhost.tasks.plan --data format=json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def inventory(folder: Path) -> Path:
    """An inventory of the lab with a lock of its own."""
    path = folder / "site.py"
    source = ROOT / "inventories" / "lab.py"
    path.write_text(f"import runpy\n\nlab = runpy.run_path({str(source)!r})['lab']\n")
    return path


def command(site: Path, *words: str, what: str = "deploy.py", **data: Any) -> list[str]:
    """What is typed for one run; settings as keyword arguments."""
    typed = [sys.executable, "-m", "pyinfra", *words, str(site), what]
    for key, value in data.items():
        typed += ["--data", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return typed


def environment(hosts: Sequence[str]) -> dict[str, str]:
    """For a run on some hosts of the lab."""
    return {**os.environ, "GPUHOST_LAB_HOSTS": " ".join(hosts)}


def run(site: Path, hosts: Sequence[str], *words: str, what: str = "deploy.py", **data: Any) -> Run:
    """Deploy to some hosts of the lab, or do another verb; settings as keyword arguments."""
    done = subprocess.run(
        command(site, *words, what=what, **data), cwd=ROOT, env=environment(hosts),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    return Run(done.returncode, done.stdout, done.stderr)


def deploy(site: Path, *hosts: str, **data: Any) -> Run:
    """`pyinfra -y INVENTORY deploy.py`."""
    return run(site, hosts, "-y", **data)


def plan(site: Path, *hosts: str, **data: Any) -> Run:
    """`pyinfra INVENTORY gpuhost.tasks.plan`."""
    return run(site, hosts, what="gpuhost.tasks.plan", format="json", **data)
