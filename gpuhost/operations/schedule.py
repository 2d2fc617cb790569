"""The cycle's timer, on the machine that runs pyinfra: no host is asked."""

from collections.abc import Generator
from pathlib import Path

import click
from pyinfra import logger
from pyinfra.api import State, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host

from gpuhost import report, timers
from gpuhost.session import Session
from gpuhost.timers import TimerError, Units


def units(session: Session) -> Units:
    """
    The units of this run's inventory.

    :raises TimerError: where hosts were named on the command line
    """
    settings, state = session.settings, session.host.state
    inventory = getattr(state, "gpuhost_inventory", None)
    if inventory is None:
        raise TimerError(
            "cycle_schedule: should come with an inventory file, got hosts on the command line"
            " (write inventories/NAME.py)"
        )
    root = Path(state.cwd or ".").resolve()
    return timers.here(inventory, root, settings.cycle_schedule, settings.cycle_delay)


def lines(session: Session) -> list[str]:
    """What must change about the timer, a line each; also why it cannot be there."""
    try:
        return units(session).pending()
    except TimerError as error:
        return [str(error)] if session.settings.cycle_schedule else []


@operation()
def schedule(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Install, change or remove the timer of this inventory on the machine that runs pyinfra.

    Every host's session may do it: the first one does, the others find it done.

    + session: any host's session
    """
    if not lines(session):
        session.host.noop("the timer is as it should be")
        return

    def change(state: State, host: Host) -> bool:
        return _change(session, host)

    yield FunctionCommand(change, [], {})


def _change(session: Session, host: Host) -> bool:
    try:
        found = units(session)
        if found.pending():
            found.change()
            _say(session, found)
    except (TimerError, OSError) as error:
        logger.error(f"{host.print_prefix}{click.style('timer refused', 'red')}: {error}")
        report.failed(host.name, f"timer refused: {error}")
        return False
    return True


def _say(session: Session, found: Units) -> None:
    wanted = session.settings.cycle_schedule
    remarks = found.remarks() if wanted else []
    if wanted and (program := timers.missing_program(session.settings.cycle_notify)):
        remarks.append(f"cycle_notify: there is no program {program!r} on this machine")
    done = f"will start at {wanted!r}" if wanted else "is removed"
    for text in [f"{found.cycle.timer} {done}", *remarks]:
        click.echo(f"    {text}", err=True)
