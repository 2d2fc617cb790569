"""Reboot a host and wait until it is back.

A marker in /run tells: it goes with the boot. (Uptime does not, where a host shares its kernel.)
"""

import time
from contextlib import suppress

import gevent
from paramiko import SSHException
from pyinfra.api import State
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from gpuhost.operations import run_lock
from gpuhost.operations.job import FOLDER, JobFailed, remote
from gpuhost.progress import BOARD

MARKER = f"{FOLDER}/rebooting"
DEADLINE = 900
"""Seconds: servers with much memory test it for minutes."""
PAUSE = 2


def reboot(state: State, host: Host) -> None:
    """:raises JobFailed: when the host is this machine, does not come back, or is held by others"""
    if host.name.startswith("@local"):
        raise JobFailed("this machine runs pyinfra itself: reboot it by hand, then run again")
    with BOARD.job(host.name, "reboot"):
        ok, output = remote(
            state,
            host,
            f"mkdir -p {FOLDER} && : >{MARKER} &&"
            " { (sleep 1; systemctl reboot) </dev/null >/dev/null 2>&1 & }",
        )
        if not ok:
            raise JobFailed("could not be started", "\n".join(output))
        deadline = time.monotonic() + DEADLINE
        while not _back(state, host):
            if time.monotonic() > deadline:
                raise JobFailed(f"the host did not come back within {DEADLINE} s")
        run_lock.take_again(host)


def _back(state: State, host: Host) -> bool:
    gevent.sleep(PAUSE)
    with suppress(SSHException, OSError, EOFError, PyinfraError):
        host.disconnect()
        host.connect(show_errors=False)
        return bool(host.connected) and remote(state, host, f"test ! -e {MARKER}")[0]
    return False
