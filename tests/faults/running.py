"""A run of pyinfra in the background, with what it says in a file."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.faults.stand import Stand
from tests.lab.deploying import ROOT, command, environment

LIMIT = 240
"""Seconds for one run."""


class Background:
    """`update` to a tag, as a person runs it."""

    def __init__(self, stand: Stand, log: Path, **data: Any) -> None:
        self.log = log
        typed = command(stand.site, "-y", what="gpuhost.tasks.update", **stand.data(**data))
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                typed, cwd=ROOT, env=environment([stand.host.name]), stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def rc(self) -> int | None:
        """Its exit code; negative for a signal."""
        return self.process.poll()

    def end(self, seconds: float = LIMIT) -> int:
        """Wait for its end; killed when it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
