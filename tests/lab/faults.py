"""What happens to a host in the middle of something: SSH cut, an engine or a process that dies."""

from __future__ import annotations

import shlex
import time

from tests.lab.host import HostError, LabHost

CUT = "lab-cut-ssh"
HEALED_WITHIN = 5.0


def cut_ssh(host: LabHost, seconds: float) -> None:
    """Drop every packet to and from the host's port 22 for so long; it heals by itself.

    Connections that are open hang. New ones do too: this machine's engine accepts them on the
    published address, and nothing comes after, so that a client waits for the SSH banner.
    """
    rules = ("INPUT -p tcp --dport 22 -j DROP", "OUTPUT -p tcp --sport 22 -j DROP")
    on = " && ".join(f"iptables -w -I {rule}" for rule in rules)
    off = "; ".join(f"iptables -w -D {rule}" for rule in rules)
    host.run(
        f"{on} && systemd-run -q --collect --unit={CUT} -p ExecStopPost='/bin/sh -c \"{off}\"'"
        f" sleep {seconds:g} || {{ {off}; exit 1; }}",
        check=True,
    )


def restart_engine(host: LabHost) -> None:
    """Restart Docker as an upgrade does, and wait until it is back."""
    host.run("systemctl restart docker", check=True)


def kill_unit(host: LabHost, unit: str) -> int:
    """SIGKILL for a unit's main process and nothing else; its pid."""
    pid = host.run(f"systemctl show -p MainPID --value {shlex.quote(unit)}", check=True).out.strip()
    if pid in ("", "0"):
        raise HostError(f"{host.name}: {unit}: has no process to kill")
    host.run(f"kill -KILL {pid}", check=True)
    return int(pid)


def kill_process(host: LabHost, words: str) -> list[int]:
    """SIGKILL for the host's processes whose command line holds these words; their pids."""
    found = host.run(f"pgrep -f -- {shlex.quote(_unlike_itself(words))}").out.split()
    if not found:
        raise HostError(f"{host.name}: no process whose command line holds {words!r}")
    host.run(f"kill -KILL {' '.join(found)}", check=True)
    return [int(pid) for pid in found]


def healed(host: LabHost, seconds: float) -> None:
    """Wait until a cut of so many seconds is over."""
    deadline = time.monotonic() + seconds + HEALED_WITHIN
    while host.run("iptables -w -S | grep -q -e '--dport 22 .*DROP'").rc == 0:
        if time.monotonic() > deadline:
            raise HostError(f"{host.name}: SSH is still cut after {seconds:g} s")
        time.sleep(0.1)


def _unlike_itself(words: str) -> str:
    """The words as a pattern that the shell which asks does not match."""
    first, rest = words[0], words[1:]
    return f"[{first}]{''.join(_literal(letter) for letter in rest)}"


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter in r"\.^$*+?()[]{}|" else letter
