"""Refusal is an operation too: it fails one host, in words, and runs nothing there."""

from collections.abc import Generator

from pyinfra.api import operation
from pyinfra.api.command import FunctionCommand

from gpuhost.operations.converge import failing, refusing
from gpuhost.plan import Stage
from gpuhost.session import Session


@operation()
def refuse(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Fail this host with every reason why it cannot be served.

    + session: the host's session, with the refusals in its plan
    """
    if session.plan.refusals:
        yield refusing(session, session.plan.refusals)
    else:
        text = "another run has changed the host meanwhile: run again"
        yield failing(session, Stage.PREFLIGHT, text)
