"""switch.pyz accept | run | boot | lift | remove | report | prune.

Exit codes of `run`: 0 committed, 1 not (what was there runs), 2 stranded, 75 busy, try later.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from gpuhost.hostside import containers, files, places
from gpuhost.hostside.accepting import Refused, accept, give_up, unfinished
from gpuhost.hostside.docker import DockerError, docker
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Records
from gpuhost.hostside.switch import Switch

BUSY = 75
UNEXPECTED = 70
"""EX_SOFTWARE of sysexits.h: systemd starts the switch again, and it goes on."""
NAMED = ("accept", "run", "lift", "remove")
"""Commands of one instance."""
GUARD_TRIES = 10
"""Half seconds: a prune holds the guard for the moment of one removal."""


class AtWork(Exception):
    """Another switch of this instance holds the guard."""


def main(words: list[str]) -> int:
    """Do one command; one line on stderr when it cannot be done."""
    commands = {
        "accept": _accept,
        "run": _run,
        "boot": _boot,
        "lift": _lift,
        "remove": _remove,
        "report": _report,
        "prune": _prune,
    }
    command = commands.get(words[0]) if words else None
    if command is None or (words[0] in NAMED and len(words) < 2):
        print(__doc__, file=sys.stderr)
        return 64
    try:
        return command(words[1:])
    except AtWork as error:
        print(f"instance {error}: a switch is at work", file=sys.stderr)
        return BUSY
    except (Refused, DockerError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{words[0]}: {error}", file=sys.stderr)
        return 1


def unit(instance: str) -> str:
    """The systemd unit in which an instance's switch runs."""
    return f"gpuhost-switch@{instance}.service"


def _accept(words: list[str]) -> int:
    """Take an order from stdin and start; an unfinished switch is seen through first."""
    here = Places(words[0])
    order = json.load(sys.stdin)
    try:
        with _guard(here):
            found = unfinished(here)
            entry = found or accept(here, order)
    except AtWork:
        found = entry = _journal(here)
    _start(words[0])
    print(json.dumps({"attached": bool(found), "id": entry.id}), flush=True)
    return 0


def _run(words: list[str]) -> int:
    here = Places(words[0])
    with _guard(here):
        switch = Switch(here)
        try:
            return switch.run()
        except Exception:
            traceback.print_exc()
            return UNEXPECTED


def _boot(_: list[str]) -> int:
    """Let every switch that was interrupted go on; start what the engine could not start."""
    interrupted = [name for name in places.instances() if unfinished(Places(name))]
    for name in interrupted:
        print(f"instance {name}: an interrupted switch goes on", flush=True)
        _start(name)
    failed = [one for one in containers.ours() if one.error and one.live and not one.running]
    codes = [_again(one) for one in failed if one.instance not in interrupted]
    return max(codes, default=0)


def _again(container: containers.Container) -> int:
    try:
        docker("start", container.id, timeout=300)
    except DockerError as error:
        print(f"{container.name}: {error}", file=sys.stderr)
        return 1
    print(f"{container.name}: started, it had failed: {container.error}", flush=True)
    return 0


def _lift(words: list[str]) -> int:
    """Let releases be tried again: those whose digest or name begins so, or all."""
    here, wanted = Places(words[0]), words[1] if len(words) > 1 else ""
    records = Records(here)
    names = {
        one.release
        for one in records.quarantined()
        if one.release.startswith(wanted) or one.digest.partition(":")[2].startswith(wanted)
    }
    for one in records.lift(names):
        print(json.dumps({"release": one.release, "digest": one.digest, "gate": one.gate}))
    return 0


def _remove(words: list[str]) -> int:
    """Remove an instance's containers; its storage and what is remembered of it stay."""
    here = Places(words[0])
    with _guard(here):
        give_up(here, "the instance was removed")
        for one in containers.of(words[0]):
            containers.remove(one)
    return 0


def _report(_: list[str]) -> int:
    from gpuhost.hostside.report import report

    print(json.dumps(report()))
    return 0


def _prune(_: list[str]) -> int:
    from gpuhost.hostside.pruning import prune

    print(json.dumps(prune(json.load(sys.stdin))))
    return 0


def _journal(here: Places) -> Journal:
    found = Journal.from_json(files.read_json(here.journal, None))
    if found is None:
        raise Refused("a switch is at work and has no journal")
    return found


def _start(instance: str) -> None:
    subprocess.run(["systemctl", "reset-failed", unit(instance)], check=False, capture_output=True)
    subprocess.run(["systemctl", "start", "--no-block", unit(instance)], check=True)


@contextmanager
def _guard(here: Places) -> Iterator[None]:
    here.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(here.guard, "w", encoding="ascii") as file:
        for _ in range(GUARD_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.5)
        else:
            raise AtWork(here.instance)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
