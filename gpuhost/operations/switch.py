"""Order a switch on a host and follow it; it goes on by itself whatever becomes of us."""

import base64
import json
import shlex
import time
from typing import Any

from paramiko import SSHException
from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost import report
from gpuhost.actions import SwitchInstance
from gpuhost.hostside import journal as states
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import PROGRAM, Places
from gpuhost.operations.job import JobFailed, remote
from gpuhost.progress import BOARD, Row
from gpuhost.session import Session

SHORTEST_WAIT, LONGEST_WAIT = 5, 15
"""Fifths of a second that one look waits on the host for the switch's end."""
RESTARTS = 3
"""How often a switch that died is started again by us; systemd does so first."""


def order(session: Session, action: SwitchInstance, state: State, host: Host) -> None:
    """
    Have a switch done, after any that is still under way.

    :raises JobFailed: when the instance is not at the release that was ordered
    """
    with BOARD.job(host.name, f"switch {action.name}") as row:
        try:
            while _accept(state, host, action):
                row.say("an earlier switch still works, waiting for it")
                _follow(state, host, action.name, row)
            entry = _follow(state, host, action.name, row)
        except (SSHException, OSError, EOFError) as error:
            raise JobFailed(
                f"the connection was lost ({error or type(error).__name__}); the switch goes on"
                " on the host, run again to see its end"
            ) from error
        report.switched(host.name, entry)
        if entry.state == states.SKIPPED:
            row.say(f"skipped: {entry.reason}")
        elif entry.state != states.COMMITTED:
            raise JobFailed(verdict(entry), "\n".join(entry.log))
    if entry.state == states.COMMITTED:
        session.keep_lock()


def see_through(state: State, host: Host, instance: str) -> Journal:
    """Follow a switch of an earlier run to its end, starting it if nothing works at it."""
    with BOARD.job(host.name, f"an earlier run's switch of {instance}") as row:
        entry = _follow(state, host, instance, row)
    report.switched(host.name, entry)
    return entry


def verdict(entry: Journal) -> str:
    """How a switch ended, in words, and what to do."""
    gate = f"gate {entry.gate} failed: " if entry.gate not in ("", *states.WORKING) else ""
    lines = [f"{gate}{entry.reason}", f"{entry.state}: {states.FINAL[entry.state]}", *entry.notes]
    if entry.state in (states.ROLLED_BACK, states.STRANDED):
        lines.append(f"docker logs gpuhost-{entry.instance}-failed says more")
    if entry.state in (states.FAILED, states.STRANDED):
        lines.append(f"docker logs gpuhost-{entry.instance}, mend what is wrong, then run again")
    return "; ".join(lines)


def _accept(state: State, host: Host, action: SwitchInstance) -> bool:
    """Hand the order over; whether an earlier switch has to end first."""
    text = base64.b64encode(action.order).decode()
    name = shlex.quote(action.name)
    ok, output = remote(state, host, f"base64 -d | python3 {PROGRAM} accept {name}", text)
    if not ok or not output:
        raise JobFailed("the switch could not be started", "\n".join(output))
    return bool(json.loads(output[-1])["attached"])


def _follow(state: State, host: Host, instance: str, row: Row) -> Journal:
    wait, before, restarts = SHORTEST_WAIT, "", 0
    while True:
        active, entry = _look(state, host, instance, wait)
        row.expected = entry.total
        row.show(entry.bytes, f"{entry.state}: {entry.line}" if entry.line else entry.state)
        if entry.state != before:
            before = entry.state
            row.note(entry.state)
        if not entry.unfinished:
            return entry
        if not active:
            restarts += 1
            if restarts > RESTARTS:
                raise JobFailed(
                    f"the switch does not run (journalctl -u gpuhost-switch@{instance} on the"
                    f" host says why); it stands at {entry.state}"
                )
            _start(state, host, instance)
        wait = min(wait + 1, LONGEST_WAIT)


def _start(state: State, host: Host, instance: str) -> None:
    unit = shlex.quote(f"gpuhost-switch@{instance}")
    remote(state, host, f"systemctl reset-failed {unit}; systemctl start --no-block {unit}")
    time.sleep(0.5)


def _look(state: State, host: Host, instance: str, wait: int) -> tuple[bool, Journal]:
    unit, path = shlex.quote(f"gpuhost-switch@{instance}"), shlex.quote(_journal(instance))
    working = "|".join(states.WORKING)
    ok, output = remote(
        state,
        host,
        f"for _ in $(seq {wait}); do\n"
        f"""  grep -qE '"state": "({working})"' {path} || break\n"""
        f"  case $(systemctl is-active {unit}) in active|activating) ;; *) break ;; esac\n"
        "  sleep 0.2\n"
        f"done\nsystemctl is-active {unit}\ncat {path}",
    )
    if not output:
        raise OSError("no answer")
    entry = Journal.from_json(_document("\n".join(output[1:]))) if ok else None
    if entry is None:
        raise JobFailed("its journal cannot be read", "\n".join(output[-5:]))
    return output[0] in ("active", "activating"), entry


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _journal(instance: str) -> str:
    return str(Places(instance).journal)
