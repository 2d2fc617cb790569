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


_taken: dict[str, AsyncResult] = {}


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
    """The outcome for all hosts of this operation; the first host to come here sees to it."""
    key = str(host.executing_op_hash)
    if key not in _taken:
        _taken[key] = result = AsyncResult()
        hosts = [one for one in state.active_hosts if key in state.ops[one]] or [host]
        try:
            result.set(take_all(state, hosts))
        except BaseException as error:
            result.set_exception(error)
            raise
    found: Taken = _taken[key].get()
    return found


def take_all(state: State, hosts: Sequence[Host]) -> Taken:
    """Hold all hosts; while another run holds one, hold none, and try again for `wait` seconds."""
    what, wait = getattr(state, "gpuhost_what", "pyinfra"), getattr(state, "gpuhost_wait", 0)
    deadline = time.monotonic() + wait
    ordered = sorted(hosts, key=lambda host: host.name)
    taken = _try(state, ordered, what)
    if taken.refused and wait:
        click.echo(f"    {taken.refused[0]}: waiting for it, {wait} s at most", err=True)
    while taken.refused and time.monotonic() < deadline:
        gevent.sleep(min(random.uniform(0.5, 1) * PAUSE, deadline - time.monotonic()))  # noqa: S311
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
