"""The cycle's units on this machine: what is there, what is to be there, and the way over."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuhost.cycle import Cycle, owner

BOOTED = Path("/run/systemd/system")
"""There where systemd runs, after sd_booted(3)."""
SYSTEM_FOLDER = Path("/etc/systemd/system")
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class TimerError(Exception):
    """Why the cycle cannot be set up here, and what to do."""


def run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a program of this machine; one that is not there fails like any other."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))


@dataclass(frozen=True)
class Units:
    """The pair of units of one inventory on this machine."""

    cycle: Cycle
    folder: Path
    run: Run = run

    def pending(self) -> list[str]:
        """What must change, a line each; nothing when all is as it should be.

        :raises TimerError: where it cannot be
        """
        wanted = self.cycle.units()
        if wanted and not BOOTED.is_dir():
            raise TimerError(
                "cycle_schedule: should be empty on a machine without systemd,"
                f" got {self.cycle.schedule!r} (empty it, or run pyinfra where systemd runs)"
            )
        found = self.found()
        lines = [
            f"{name}: {'differs' if name in found else 'is missing'}"
            for name, text in wanted.items()
            if found.get(name) != text
        ]
        lines += [f"{name}: is no longer wanted" for name in found if name not in wanted]
        if wanted and not lines and not self._ticks():
            lines = [f"{self.cycle.timer}: is not running"]
        return lines

    def found(self) -> dict[str, str]:
        """The text of each unit that is there.

        :raises TimerError: for one that is not this inventory's
        """
        found = {}
        for name in (self.cycle.service, self.cycle.timer):
            path = self.folder / name
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            if self._mine(text):
                found[name] = text
            elif self.cycle.schedule:
                of = f"of {owner(text)}" if owner(text) else "not gpuhost's"
                raise TimerError(f"{path}: is {of} (rename the inventory, or remove that unit)")
        return found

    def _mine(self, text: str) -> bool:
        """Whether a unit is of this inventory, or of one that has gone."""
        path = owner(text)
        return bool(path) and (Path(path) == self.cycle.inventory or not Path(path).exists())

    def change(self) -> None:
        """Bring the units to what is wanted.

        :raises TimerError: with what systemd said
        """
        wanted, found = self.cycle.units(), self.found()
        if self.cycle.timer in found:
            self._systemctl("disable", "--now", self.cycle.timer, check=False)
            self._systemctl("clean", "--what=state", self.cycle.timer, check=False)
        for name in found:
            if name not in wanted:
                (self.folder / name).unlink(missing_ok=True)
        for name, text in wanted.items():
            _write(self.folder / name, text)
        self._systemctl("daemon-reload")
        if wanted:
            self._systemctl("enable", "--now", self.cycle.timer)

    def _ticks(self) -> bool:
        enabled = self.folder / "timers.target.wants" / self.cycle.timer
        return (
            enabled.is_symlink()
            and not self._systemctl("is-active", self.cycle.timer, check=False).returncode
        )

    def _systemctl(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        manager = [] if self.cycle.system else ["--user"]
        done = self.run(["systemctl", *manager, *words])
        if check and done.returncode:
            command = " ".join(["systemctl", *manager, *words])
            raise TimerError(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def remarks(self) -> list[str]:
        """What a person should do besides."""
        if self.cycle.system:
            return []
        user = os.environ.get("USER") or str(os.getuid())
        done = self.run(["loginctl", "show-user", user, "--property=Linger"])
        if "Linger=yes" in done.stdout:
            return []
        return [f"the timer stops when {user} logs out: loginctl enable-linger {user} keeps it"]


def here(inventory: Path, root: Path, schedule: str, delay: str) -> Units:
    """The units of an inventory on this machine: root's of the system, another user's own."""
    system = os.geteuid() == 0
    home = str(Path.home())
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    cycle = Cycle(inventory, root, sys.executable, schedule, delay, system, home)
    return Units(cycle, SYSTEM_FOLDER if system else config / "systemd" / "user")


def missing_program(receiver: str) -> str:
    """The program of `cycle_notify` that is not on this machine; "" for none."""
    program = "" if "://" in receiver else receiver.split(" ")[0].strip("'\"")
    return program if program and not shutil.which(program) else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)
