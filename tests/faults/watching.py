"""A watcher in the host: it returns when a new switch reaches a state, or has passed it."""

from __future__ import annotations

import shlex

from gpuhost.hostside.journal import FINAL
from tests.faults.stand import JOURNAL
from tests.lab import LabHost

LIMIT = 75
"""Seconds from the run's begin to the state."""
PROGRAM = """
import json, sys, time
path, before, wanted, limit, *final = sys.argv[1:]
deadline, state = time.monotonic() + float(limit), "no switch began"
while time.monotonic() < deadline:
    try:
        found = json.load(open(path))
    except (OSError, ValueError):
        found = {"id": before}
    if found["id"] != before:
        state = found["state"]
        begun = found["resumed"] >= 0 and (state != "pulling" or found["bytes"])
        if (state == wanted and begun) or state in final:
            break
    time.sleep(0.05)
print(state)
"""


class Missed(Exception):
    """The state was not there when the fault should have come."""


def reach(host: LabHost, before: str, state: str) -> None:
    """
    Return as soon as a switch other than `before` works at a state; a pull, once bytes came.

    :raises Missed: when it ended, or the time is up, and the state was not seen
    """
    words = [PROGRAM, JOURNAL, before, state, str(LIMIT), *FINAL]
    line = " ".join(shlex.quote(word) for word in words)
    found = host.run(f"python3 -c {line}", check=True).out.strip()
    if found != state:
        raise Missed(f"{state} was not seen, the switch was last at: {found}")


def still(host: LabHost, state: str) -> None:
    """:raises Missed: when the journal says another state"""
    check = f"""grep -q '"state": "{state}"' {JOURNAL} || grep '"state"' {JOURNAL}"""
    if found := host.run(check).out.strip():
        raise Missed(f"{state} was over when the fault came: {found}")
