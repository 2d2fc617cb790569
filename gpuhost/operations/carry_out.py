"""Carry out what a verb decides, once the host was looked at again."""

from collections.abc import Callable, Generator

from pyinfra.api import operation
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from gpuhost import report
from gpuhost.operations.converge import commands, failing, refusing
from gpuhost.plan import Lines, Stage, collect
from gpuhost.planning.view import View
from gpuhost.session import Session


@operation()
def carry_out(
    session: Session, decide: Callable[[View], Lines]
) -> Generator[PyinfraCommand, None, None]:
    """
    Observe, decide, and do it.

    + session: the host's session
    + decide: what a verb makes of a view
    """
    if not session.observe():
        yield failing(session, Stage.INSTANCE, "the host could not be read")
        return
    plan = collect(decide(session.view))
    if plan.refusals:
        yield refusing(session, plan.refusals)
        return
    if not plan.steps:
        session.host.noop("there is nothing to do")
    for step in plan.steps:
        for action in step.actions:
            yield from commands(session, step, action)


@operation()
def show(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Observe once more, for the table.

    + session: the host's session
    """
    if session.observe():
        report.seen(session)
        report.concluded(session.host.name)
        session.host.noop("seen")
    else:
        yield failing(session, Stage.INSTANCE, "the host could not be read")
