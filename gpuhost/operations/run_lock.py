"""One run that changes a host at a time: `run.lock` on the host says whose turn it is.

Whoever holds a host renews its line every few seconds; a line that was not renewed for long is of
a dead run and is taken over. The folder goes with a reboot, and the lock with it.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field

import click
import gevent
from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost import holder
from gpuhost.holder import STALE, Holder, Refused
from gpuhost.operations.job import JobFailed
from gpuhost.operations.swapping import MISMATCH, swap

PERIOD = 15
"""Seconds between two signs of life."""
PATIENCE = 10
"""Seconds for all hosts together to be let go at the end."""


class HoldLost(JobFailed):
    """Another run holds the host now, or nobody does."""


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
        found = swap(state, host, MISMATCH, "")
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
        swap(held.state, held.host, held.me.mark, "")


def _contend(held: Held) -> Refused | None:
    """Take the lock if nobody alive has it: once more after each change seen meanwhile."""
    expected, dead = "", ""
    for _ in range(10):
        found = swap(held.state, held.host, expected, held.me.opening())
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
    found = swap(held.state, held.host, held.me.mark, held.me.opening())
    if found.holder and found.holder.token == held.me.token:
        held.renewed = _now()
    else:
        other = found.holder.run if found.holder else "nobody"
        held.lost = f"this run no longer holds the host, {other} does: look at it, then run again"


def _say(host: Host, text: str) -> None:
    click.echo(f"    [{host.name}] {text}", err=True)


def _now() -> float:
    """Seconds that go on while this machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
