"""Hosts that are folders of this machine, so that run locks can be taken without a network."""

import subprocess
from dataclasses import dataclass, replace
from typing import Any

from gpuhost import holder
from gpuhost.holder import Holder
from gpuhost.operations import swapping

ELSEWHERE = {"who": "ada", "where": "attic", "space": "another boot/1"}


def swap(folder, expected, new) -> Any:
    done = subprocess.run(
        ["sh", "-c", swapping.script(str(folder), expected, new)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return swapping.answer((done.stdout + done.stderr).splitlines(), done.returncode == 0)


class Hosts:
    """Hosts that are folders of this machine, asked by `job.remote`."""

    def __init__(self, root):
        self.root = root
        self.deaf: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, state, host, script, stdin=""):
        self.asked.append(host.name)
        if host.name in self.deaf:
            raise EOFError
        own = script.replace(swapping.FOLDER, str(self.root / host.name))
        done = subprocess.run(["sh", "-c", own], capture_output=True, text=True, timeout=30)
        return done.returncode == 0, (done.stdout + done.stderr).splitlines()

    def lock(self, name):
        path = self.root / name / "run.lock"
        return holder.read(path.read_text()) if path.exists() else None

    def write(self, name, one: Holder, age=0):
        """Leave a lock of that age behind."""
        clock = swap(self.root / name, swapping.MISMATCH, "").clock
        text = f'{one.opening()}, "boot_id": "{clock.boot_id}", "beat": {clock.uptime - age}}}\n'
        (self.root / name / "run.lock").write_text(text)


@dataclass(eq=False)
class Named:
    name: str
    connected: bool = True
    executing_op_hash: str = "x"


def named(name) -> Any:
    return Named(name)


def stranger(**changes) -> Holder:
    return replace(holder.me("deploy.py"), **{**ELSEWHERE, "token": "t" * 32, **changes})
