"""Keeping away from instances that a switch works on."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gpuhost.hostside import files
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places


class AtWork(Exception):
    """Why something must not be touched now, in one line."""


@contextmanager
def undisturbed(names: set[str], journals: dict[str, str], root: Path) -> Iterator[None]:
    """
    Let no switch of these instances begin meanwhile.

    :param journals: ID of the last switch by instance, when it was decided what to do
    :raises AtWork: when a switch works there, or another one ended since
    """
    with ExitStack() as stack:
        for name in sorted(names):
            here = Places(name, root)
            if here.folder.is_dir():
                stack.enter_context(_held(here))
                _compare(here, journals.get(name, ""))
        yield


@contextmanager
def _held(here: Places) -> Iterator[None]:
    with open(here.guard, "a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AtWork(f"a switch works on instance {here.instance}") from None
        yield


def _compare(here: Places, last: str) -> None:
    found = Journal.from_json(files.read_json(here.journal, None))
    if found and found.unfinished:
        raise AtWork(f"a switch of instance {here.instance} is {found.state}")
    if (found.id if found else "") != last:
        raise AtWork(f"instance {here.instance} was switched meanwhile")
