"""The first operation of a run that changes anything: hold all its hosts, or none of them.

Whichever host's turn comes first takes the locks of all, so nothing waits for a host that was
never started; `--serial` and `--parallel` do not matter.
"""

import random
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import click
import gevent
from gevent.event import AsyncResult
from pyinfra.api import State, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host

from gpuhost.operations import run_lock
from gpuhost.operations.converge import failing
from gpuhost.operations.job import JobFailed
from gpuhost.plan import Stage
from gpuhost.session import Session

PAUSE = 5
"""Seconds between two tries while waiting."""


@dataclass
class Taken:
    """What became of the hosts of one run."""

    refused: list[str] = field(default_factory=list)
    """Hosts that other runs hold, in words: then no host is held."""
    broken: dict[str, JobFailed] = field(default_factory=dict)
    """Hosts that could not be asked: they alone fail."""
    waited: bool = False


_expected: set[Host] = set()
_taken: list[AsyncResult] = []
"""One entry, once the first host has begun to take them all."""


def expect(host: Host) -> None:
    """A host will be held, with all others of this run."""
    _expected.add(host)


def outlast(state: State, host: Host) -> bool:
    """Wait for the living run that holds a host, as long as asked to; whether there is none."""
    deadline = time.monotonic() + _wait(state)
    other = run_lock.living(state, host)
    if other and _wait(state):
        _say_waiting(str(other), _wait(state))
    while other and time.monotonic() < deadline:
        _pause(deadline)
        other = run_lock.living(state, host)
    return other is None


@operation()
def hold(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Let no other run change this host, or any other host of this run, until this run ends.

    + session: the host's session
    """

    def take(state: State, host: Host) -> bool:
        return _outcome(session, _together(state, host), state, host)

    yield FunctionCommand(take, [], {})


def _outcome(session: Session, taken: Taken, state: State, host: Host) -> bool:
    if taken.refused:
        return _fail(session, "\n".join(taken.refused), "", "refused", state, host)
    if error := taken.broken.get(host.name):
        return _fail(session, str(error), error.tail, "failed", state, host)
    if taken.waited:
        session.observe()
    return True


def _fail(session: Session, text: str, tail: str, heading: str, state: State, host: Host) -> bool:
    command = failing(session, Stage.PREFLIGHT, text, tail, heading)
    return bool(command.function(state, host))


def _together(state: State, host: Host) -> Taken:
    """The outcome for all hosts of this run; the first host to come here sees to it."""
    if host not in _expected:
        return take_all(state, [host])
    if not _taken:
        result = AsyncResult()
        _taken.append(result)
        try:
            result.set(take_all(state, [one for one in _expected if one in state.active_hosts]))
        except BaseException as error:
            result.set_exception(error)
            raise
    found: Taken = _taken[0].get()
    return found


def take_all(state: State, hosts: Sequence[Host]) -> Taken:
    """Hold all hosts; while another run holds one, hold none, and try again for `wait` seconds."""
    what, wait = getattr(state, "gpuhost_what", "pyinfra"), _wait(state)
    deadline = time.monotonic() + wait
    ordered = sorted(hosts, key=lambda host: host.name)
    taken = _try(state, ordered, what)
    if taken.refused and wait:
        _say_waiting(taken.refused[0], wait)
    while taken.refused and time.monotonic() < deadline:
        _pause(deadline)
        taken = _try(state, ordered, what)
        taken.waited = True
    if taken.refused:
        after = f"it still is after {wait} s, see there" if wait else "or add --data wait=SECONDS"
        taken.refused = [
            f"{words}: run again when it has ended, {after}" for words in taken.refused
        ]
    return taken


def _try(state: State, hosts: Sequence[Host], what: str) -> Taken:
    """One try: the first host alone, so that of two runs on the same hosts one gets them all."""
    taken, mine = Taken(), [host.name for host in hosts]

    def take(host: Host) -> None:
        try:
            if refused := run_lock.take(state, host, what):
                taken.refused.append(str(refused))
        except JobFailed as error:
            taken.broken[host.name] = error

    take(hosts[0])
    if not taken.refused:
        gevent.joinall([gevent.spawn(take, host) for host in hosts[1:]], raise_error=True)
    if taken.refused:
        run_lock.release(mine)
    return taken


def _wait(state: State) -> int:
    return int(getattr(state, "gpuhost_wait", 0))


def _pause(deadline: float) -> None:
    """Uneven, so that two runs that wait do not meet forever."""
    pause = random.uniform(0.5, 1) * PAUSE  # noqa: S311
    gevent.sleep(max(min(pause, deadline - time.monotonic()), 0))


def _say_waiting(words: str, wait: int) -> None:
    click.echo(f"    {words}: waiting for it, {wait} s at most", err=True)
