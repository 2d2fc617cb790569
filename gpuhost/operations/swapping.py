"""The one thing that is ever done to a run lock: put a line in place of another, or look.

It is a line of JSON in a file on the host, changed under flock(1), so of two takers one wins.
"""

import shlex
from dataclasses import dataclass

from paramiko import SSHException
from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost import holder
from gpuhost.holder import Clock, Holder
from gpuhost.operations.job import FOLDER, JobFailed, remote

MISMATCH = "\n"
"""Found in no line: a swap that expects it only looks."""
SWAP = r"""set -eu; umask 077; mkdir -p {folder}; cd {folder}
exec 9>run.guard
flock -w 10 9 || {{ echo 'run.guard could not be locked' >&2; exit 1; }}
expected={expected}
new={new}
read -r up _ </proc/uptime; up=${{up%.*}}
read -r boot </proc/sys/kernel/random/boot_id
found=$(cat run.lock 2>/dev/null || :)
change() {{
  if [ -z "$new" ]; then rm -f run.lock; return; fi
  printf '%s, "boot_id": "%s", "beat": %s}}\n' "$new" "$boot" "$up" >run.lock.new
  mv run.lock.new run.lock
}}
if [ -z "$expected" ]; then
  [ -n "$found" ] || change
else
  case $found in *"$expected"*) change ;; esac
fi
printf 'run-lock %s %s %s\n' "$up" "$boot" "$(cat run.lock 2>/dev/null || :)"
"""


@dataclass(frozen=True)
class Found:
    """What a swap left in place."""

    clock: Clock
    line: str
    holder: Holder | None


def swap(state: State, host: Host, expected: str, new: str) -> Found:
    """Put `new` in place if `expected` is part of what is there: the whole, a mark, or nothing.

    :raises JobFailed: when the host did not do it
    """
    try:
        ok, output = remote(state, host, script(FOLDER, expected, new))
    except (SSHException, OSError, EOFError) as error:
        raise JobFailed(f"the connection was lost ({error or type(error).__name__})") from error
    return answer(output, ok)


def script(folder: str, expected: str, new: str) -> str:
    """The swap as a POSIX shell script; an empty `new` removes the lock."""
    quote = shlex.quote
    return SWAP.format(folder=quote(folder), expected=quote(expected), new=quote(new))


def answer(output: list[str], ok: bool = True) -> Found:
    """:raises JobFailed: for what the script does not print"""
    told = [[*line.split(" ", 3), ""] for line in output if line.startswith("run-lock ")]
    if not ok or not told:
        raise JobFailed(f"{FOLDER}/run.lock could not be asked", "\n".join(output[-5:]))
    _, uptime, boot, line, *_ = told[0]
    try:
        return Found(Clock(int(uptime), boot), line, holder.read(line) if line else None)
    except holder.Unreadable as error:
        raise JobFailed(f"{FOLDER}/run.lock: {error} (remove it on the host)") from error
