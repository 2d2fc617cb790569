"""One run that changes a host at a time: `run.lock` on the host says whose turn it is.

A line of JSON, changed only by `swap` under flock(1), so of two takers one wins. Whoever holds a
host renews the line every few seconds; a line that was not renewed for long is of a dead run and
is taken over. The folder goes with a reboot, and the lock with it.
"""

import shlex
import time
from contextlib import suppress
from dataclasses import dataclass, field

import click
import gevent
from paramiko import SSHException
from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost import holder
from gpuhost.holder import STALE, Clock, Holder, Refused
from gpuhost.operations.job import FOLDER, JobFailed, remote

PERIOD = 15
"""Seconds between two signs of life."""
PATIENCE = 10
"""Seconds for all hosts together to be let go at the end."""
MISMATCH = "\n"
"""Found in no line: a swap that expects it only looks."""
SWAP = r"""set -eu; umask 077; mkdir -p {folder}; cd {folder}
exec 9>run.guard
flock -w 10 9 || {{ echo 'run.guard could not be locked' >&2; exit 1; }}
expected={expected}
new={new}
read -r up _ </proc/uptime; up=${{up%.*}}
read -r boot </proc/sys/kernel/random/boot_id
found=$(cat run.lock 2>/dev/null || :)
change() {{
  if [ -z "$new" ]; then rm -f run.lock; return; fi
  printf '%s, "boot_id": "%s", "beat": %s}}\n' "$new" "$boot" "$up" >run.lock.new
  mv run.lock.new run.lock
}}
if [ -z "$expected" ]; then
  [ -n "$found" ] || change
else
  case $found in *"$expected"*) change ;; esac
fi
printf 'run-lock %s %s %s\n' "$up" "$boot" "$(cat run.lock 2>/dev/null || :)"
"""


class HoldLost(JobFailed):
    """Another run holds the host now, or nobody does."""


@dataclass(frozen=True)
class Found:
    """What a swap left in place."""

    clock: Clock
    line: str
    holder: Holder | None


@dataclass
class Held:
    """One host that this run holds."""

    state: State
    host: Host
    me: Holder
    lost: str = ""
    renewed: float = field(default_factory=lambda: _now())
    pulse: gevent.Greenlet | None = None


_held: dict[str, Held] = {}


def take(state: State, host: Host, what: str) -> Refused | None:
    """Hold a host from now on; None when it is held, also when it was already.

    :raises JobFailed: when the host could not be asked
    """
    if host.name in _held:
        return None
    held = _held[host.name] = Held(state, host, holder.me(what))
    try:
        refused = _contend(held)
    except BaseException:
        _held.pop(host.name, None)
        raise
    if refused:
        del _held[host.name]
    else:
        held.pulse = gevent.spawn(_pulse, held)
    return refused


def living(state: State, host: Host) -> Refused | None:
    """The living run, other than this one, that holds a host, as far as it can be asked."""
    try:
        found = _swap(state, host, MISMATCH, "")
    except JobFailed:
        return None
    if host.name in _held or not found.holder or found.holder.death(found.clock):
        return None
    return Refused(host.name, found.holder, found.clock)


def lost(host: Host) -> str:
    """Why this run must not go on with a host that it held; "" if it may."""
    held = _held.get(host.name)
    if not held:
        return ""
    if not held.lost and _now() - held.renewed > STALE / 2:
        _renew(held)
    return held.lost


def check(host: Host) -> None:
    """:raises HoldLost: when this run must not go on with the host"""
    if words := lost(host):
        raise HoldLost(words)


def take_again(host: Host) -> None:
    """Hold a host anew that this run has rebooted.

    :raises HoldLost: when another run was faster
    """
    if held := _held.get(host.name):
        held.lost = ""
        if refused := _contend(held):
            held.lost = str(refused)
            raise HoldLost(held.lost)


def release(names: list[str] | None = None) -> None:
    """Let hosts go, all that are held unless said otherwise; best effort."""
    going = [_held.pop(name) for name in list(_held) if names is None or name in names]
    gevent.joinall([gevent.spawn(_let_go, held) for held in going], timeout=PATIENCE)


def _let_go(held: Held) -> None:
    if held.pulse:
        held.pulse.kill(block=False)
    with suppress(Exception):
        _swap(held.state, held.host, held.me.mark, "")


def _contend(held: Held) -> Refused | None:
    """Take the lock if nobody alive has it: once more after each change seen meanwhile."""
    expected, dead = "", ""
    for _ in range(10):
        found = _swap(held.state, held.host, expected, held.me.opening())
        if found.holder and found.holder.token == held.me.token:
            held.renewed = _now()
            if dead:
                _say(held.host, f"{dead}: taking over")
            return None
        expected = found.line
        if found.holder:
            reason = found.holder.death(found.clock)
            if not reason:
                return Refused(held.host.name, found.holder, found.clock)
            dead = f"{found.holder.run} died: {reason}"
    raise JobFailed("the run lock changes too fast to be taken; run again")


def _pulse(held: Held) -> None:
    while not held.lost:
        gevent.sleep(PERIOD)
        if held.host.connected:
            with suppress(Exception):
                _renew(held)


def _renew(held: Held) -> None:
    found = _swap(held.state, held.host, held.me.mark, held.me.opening())
    if found.holder and found.holder.token == held.me.token:
        held.renewed = _now()
    else:
        other = found.holder.run if found.holder else "nobody"
        held.lost = f"this run no longer holds the host, {other} does: look at it, then run again"


def _swap(state: State, host: Host, expected: str, new: str) -> Found:
    """Put `new` in place if `expected` is part of what is there: the whole, a mark, or nothing.

    :raises JobFailed: when the host did not do it
    """
    try:
        ok, output = remote(state, host, script(FOLDER, expected, new))
    except (SSHException, OSError, EOFError) as error:
        raise JobFailed(f"the connection was lost ({error or type(error).__name__})") from error
    return answer(output, ok)


def script(folder: str, expected: str, new: str) -> str:
    """The swap as a POSIX shell script; an empty `new` removes the lock."""
    quote = shlex.quote
    return SWAP.format(folder=quote(folder), expected=quote(expected), new=quote(new))


def answer(output: list[str], ok: bool = True) -> Found:
    """:raises JobFailed: for what the script does not print"""
    told = [[*line.split(" ", 3), ""] for line in output if line.startswith("run-lock ")]
    if not ok or not told:
        raise JobFailed(f"{FOLDER}/run.lock could not be asked", "\n".join(output[-5:]))
    _, uptime, boot, line, *_ = told[0]
    try:
        return Found(Clock(int(uptime), boot), line, holder.read(line) if line else None)
    except holder.Unreadable as error:
        raise JobFailed(f"{FOLDER}/run.lock: {error} (remove it on the host)") from error


def _say(host: Host, text: str) -> None:
    click.echo(f"    [{host.name}] {text}", err=True)


def _now() -> float:
    """Seconds that go on while this machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
