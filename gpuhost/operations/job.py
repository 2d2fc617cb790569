"""Long work on a host: a transient systemd unit that a lost connection cannot kill.

Package managers and image pulls must not hang off an SSH channel: half an installation or a
pull that throws its finished layers away is what an interruption there leaves.
"""

import base64
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from paramiko import SSHException
from pyinfra.api import State
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host

from gpuhost.progress import BOARD

FOLDER = "/run/gpuhost"
SHORTEST_WAIT, LONGEST_WAIT = 10, 30
"""Tenths of a second that one look waits on the host for the job's end."""
LEFT_BEHIND = 6 * 3600
"""Seconds to wait for a job of an earlier run: as long as the longest pull may take."""


@dataclass(frozen=True)
class Job:
    """A shell script to run to its end on a host."""

    name: str
    """Letters, digits and hyphens; one job of a name runs at a time."""
    label: str
    script: str = field(repr=False)
    deadline: int
    """Seconds."""
    expected_bytes: int = 0


@dataclass(frozen=True)
class Glance:
    """One look at a running job."""

    rc: int | None
    active: bool
    received: int
    last_line: str


class JobFailed(Exception):
    """A job that did not end well: the message says how, `tail` is the end of its output."""

    def __init__(self, message: str, tail: str = "") -> None:
        super().__init__(message)
        self.tail = tail


def remote(state: State, host: Host, script: str, stdin: str = "") -> tuple[bool, list[str]]:
    """Run a script on a host now; whether it succeeded, and what it printed."""
    given, _ = pop_global_arguments(state, host, {"_stdin": stdin} if stdin else {})
    arguments: Any = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    ok, output = host.run_shell_command(StringCommand(script), **arguments)
    return ok, [line.line for line in output]


def run_job(state: State, host: Host, job: Job) -> None:
    """Start a job, follow it, and return when it succeeded.

    :raises JobFailed: when it failed, ran past its deadline, or the connection was lost
    """
    with BOARD.job(host.name, job.label, job.expected_bytes) as row:
        try:
            while _start(state, host, job) == "attached":
                row.say("an earlier run's job still works, waiting for it")
                _follow(state, host, job, row.show)
            glance = _follow(state, host, job, row.show)
        except (SSHException, OSError, EOFError) as error:
            raise JobFailed(
                f"the connection was lost ({error or type(error).__name__}); the work goes on"
                " on the host, run again to see it through"
            ) from error
        if glance.rc:
            advice = f"see {FOLDER}/{job.name}.log on the host, mend it and run again"
            raise JobFailed(f"failed with exit code {glance.rc} ({advice})", tail(state, host, job))


def wait_for(state: State, host: Host, unit: str) -> None:
    """See a job of an earlier run through, whatever becomes of it."""
    job = Job(unit.removeprefix("gpuhost-job-").removesuffix(".service"), unit, "", LEFT_BEHIND)
    with suppress(JobFailed), BOARD.job(host.name, "an earlier run's work") as row:
        _follow(state, host, job, row.show)


def tail(state: State, host: Host, job: Job, lines: int = 15) -> str:
    """The end of a job's output."""
    _, output = remote(state, host, f"tail -n {lines} {FOLDER}/{job.name}.log")
    return "\n".join(output)


def _start(state: State, host: Host, job: Job) -> str:
    unit, base = f"gpuhost-job-{job.name}", f"{FOLDER}/{job.name}"
    body = f"sh {base}.sh >{base}.log 2>&1 </dev/null; echo $? >{base}.rc"
    ok, output = remote(
        state,
        host,
        f"set -e; umask 077; mkdir -p {FOLDER}\n"
        f"if systemctl is-active --quiet {unit}; then cat >/dev/null; echo attached; exit; fi\n"
        f"rm -f {base}.rc {base}.log; base64 -d >{base}.sh; : >{base}.log\n"
        f"systemctl reset-failed {unit} 2>/dev/null || true\n"
        f"systemd-run --quiet --collect --unit {unit} sh -c {shlex.quote(body)}",
        base64.b64encode(job.script.encode()).decode(),
    )
    if not ok:
        raise JobFailed("could not be started", "\n".join(output))
    return output[-1] if output else "started"


def _follow(state: State, host: Host, job: Job, show: Callable[[int, str], None]) -> Glance:
    began, wait, first = time.monotonic(), SHORTEST_WAIT, None
    while True:
        glance = _look(state, host, job, wait)
        first = glance.received if first is None else first
        show(glance.received - first, glance.last_line)
        if glance.rc is not None:
            return glance
        if not glance.active:
            raise JobFailed("it vanished, as after a reboot; run again")
        if time.monotonic() - began > job.deadline:
            remote(state, host, f"systemctl stop gpuhost-job-{job.name}")
            raise JobFailed(f"it took longer than {job.deadline} s", tail(state, host, job))
        wait = min(wait + 1, LONGEST_WAIT)


def _look(state: State, host: Host, job: Job, wait: int) -> Glance:
    base = f"{FOLDER}/{job.name}"
    ok, output = remote(
        state,
        host,
        f"for _ in $(seq {wait}); do [ -e {base}.rc ] && break; sleep 0.1; done\n"
        f"active=$(systemctl is-active gpuhost-job-{job.name})\n"
        f"cat {base}.rc 2>/dev/null || echo -\n"
        'echo "$active"\n'
        'awk \'/:/ { sub(/^ +/, ""); split($0, part, /[: ]+/);'
        ' if (part[1] !~ /^(lo|docker|br-|veth)/) sum += part[2] } END { printf "%.0f\\n", sum }\''
        " /proc/net/dev\n"
        f"tail -c 400 {base}.log | tr '\\r' '\\n' | grep -v '^ *$' | tail -n 1 | cut -c1-160",
    )
    if not ok and not output:
        raise OSError("no answer")
    rc, active, received, *rest = [*output, "", "", ""][:4]
    return Glance(
        rc=int(rc) if rc.isdigit() else None,
        active=active in ("active", "activating"),
        received=int(received) if received.isdigit() else 0,
        last_line=rest[0] if rest else "",
    )
