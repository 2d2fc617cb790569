"""Let releases that failed on a host be tried again."""

import shlex
from collections.abc import Callable, Generator

import click
from pyinfra.api import State, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host

from gpuhost import report
from gpuhost.hostside.places import PROGRAM
from gpuhost.operations.converge import failing
from gpuhost.operations.job import remote
from gpuhost.plan import Stage
from gpuhost.session import Session


@operation()
def lift(session: Session, digest: str) -> Generator[FunctionCommand, None, None]:
    """
    Empty the host's quarantine, or take one digest out of it.

    + session: the host's session
    + digest: its first hex digits; "" for all
    """
    for instance in session.settings.webui_instances:
        yield FunctionCommand(_lifting(session, instance.name, digest), [], {})


def _lifting(session: Session, instance: str, digest: str) -> Callable[[State, Host], bool]:
    words = [PROGRAM, "lift", instance, digest.removeprefix("sha256:")]

    def lifting(state: State, host: Host) -> bool:
        ok, output = remote(state, host, f"python3 {shlex.join(words)}")
        if not ok:
            command = failing(session, Stage.INSTANCE, f"instance {instance}", "\n".join(output))
            return bool(command.function(state, host))
        for line in output:
            click.echo(f"    [{host.name}] instance {instance}: no longer in quarantine: {line}")
        report.concluded(host.name)
        return True

    return lifting
