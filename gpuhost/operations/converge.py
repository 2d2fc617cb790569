"""The one operation: look again, plan again, carry out what one stage still needs."""

from collections.abc import Generator
from functools import partial
from typing import Any

import click
from pyinfra import logger
from pyinfra.api import State, operation
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host

from gpuhost import report
from gpuhost.keys import KeyRefused, fetch
from gpuhost.operations import acting, run_lock
from gpuhost.operations.job import JobFailed
from gpuhost.plan import Refusal, Stage, Step
from gpuhost.session import Session

Commands = Generator[PyinfraCommand, None, None]


@operation()
def converge(session: Session, stage: Stage, again: bool = True) -> Commands:
    """
    Bring one stage of a host to what its settings say.

    The host is observed anew, because the stages before this one changed it. A refusal or a
    failing step fails this host only, with what was found and what to do.

    + session: the host's session
    + stage: which steps of its plan to carry out
    + again: observe anew; False for a stage that no stage before it has a bearing on
    """
    if again and not session.observe():
        yield failing(session, stage, "the host could not be read")
        return
    if session.plan.refusals:
        yield refusing(session, session.plan.refusals)
        return
    steps = session.plan.of(stage)
    if not steps:
        session.host.noop(f"{stage.value} is as it should be")
    for step in steps:
        for action in step.actions:
            yield from commands(session, step, action)


def refusing(session: Session, refusals: tuple[Refusal, ...]) -> FunctionCommand:
    """A command that fails this host and says every reason."""
    first = refusals[0]
    text = "\n".join(str(refusal) for refusal in refusals)
    return failing(session, first.stage, text, heading="refused")


def failing(
    session: Session, stage: Stage, text: str, tail: str = "", heading: str = "failed"
) -> FunctionCommand:
    """A command that fails this host with a text."""

    def fail(state: State, host: Host) -> bool:
        return _fail(session, stage, text, tail, heading)

    return FunctionCommand(fail, [], {})


def _fail(session: Session, stage: Stage, text: str, tail: str, heading: str) -> bool:
    prefix = session.host.print_prefix
    for line in text.splitlines():
        logger.error(f"{prefix}{click.style(f'{stage.value} {heading}', 'red')}: {line}")
    for line in tail.splitlines():
        logger.error(f"{prefix}    {line}")
    report.failed(session.host.name, f"{stage.value} {heading}: {text.splitlines()[0]}")
    return False


def commands(session: Session, step: Step, action: Any) -> Commands:
    """What carries out one action of a step."""
    try:
        found = acting.command(session, action, fetch)
    except KeyRefused as error:
        yield failing(session, step.stage, f"{step.subject}: {error}")
        return
    if isinstance(found, acting.Work):
        yield FunctionCommand(partial_named(_work, session, step, found), [], {})
    else:
        yield FunctionCommand(partial_named(_shell, session, step, found), [], {})


def partial_named(function: Any, *args: Any) -> Any:
    """A function of (state, host) with a name, as pyinfra wants it."""

    def named(state: State, host: Host) -> bool:
        done: bool = partial(function, *args)(state, host)
        return done

    named.__name__ = function.__name__
    return named


def _shell(session: Session, step: Step, found: acting.Shell, state: State, host: Host) -> bool:
    from gpuhost.operations.job import remote

    if words := run_lock.lost(host):
        return _fail(session, step.stage, words, "", "failed")
    ok, output = remote(state, host, found.script, found.stdin)
    if not ok:
        return _fail(session, step.stage, f"{step.subject}: {found.what}", _end(output), "failed")
    return True


def _work(session: Session, step: Step, work: acting.Work, state: State, host: Host) -> bool:
    try:
        run_lock.check(host)
        work.run(state, host)
    except JobFailed as error:
        text = f"{step.subject}: {work.label}: {error}"
        return _fail(session, step.stage, text, error.tail, "failed")
    return True


def _end(output: list[str], lines: int = 15) -> str:
    return "\n".join(output[-lines:])
