"""Observe a changed host once more, so that the final table shows what is true."""

from collections.abc import Generator

from pyinfra.api import operation
from pyinfra.api.command import FunctionCommand

from gpuhost import report
from gpuhost.operations.converge import failing
from gpuhost.plan import Stage
from gpuhost.session import Session


@operation()
def look(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Observe, and fail the host if a step is still open: what was done did not hold.

    + session: the host's session
    """
    if not session.observe():
        yield failing(session, Stage.INSTANCE, "the host could not be read")
        return
    report.seen(session)
    if report.skipped(session.host.name):
        report.concluded(session.host.name)
        session.host.noop("it was busy, try later")
    elif not session.plan.empty:
        open_steps = "\n".join(
            [f"{step.subject}: still {step.now}" for step in session.plan.steps]
            + [str(refusal) for refusal in session.plan.refusals]
        )
        yield failing(session, Stage.INSTANCE, open_steps, heading="did not hold")
    else:
        report.concluded(session.host.name)
        session.host.noop("everything is as it should be")
