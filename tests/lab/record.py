"""What the lab writes down for others: `.lab/lab.json` and `.lab/known_hosts`."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.lab import engine
from tests.lab.places import STATE, cache, write_atomically
from tests.lab.steps import say

RECORD = STATE / "lab.json"
KNOWN_HOSTS = STATE / "known_hosts"

Entry = Mapping[str, str]


def read() -> dict[str, Any] | None:
    """The record, or None when no lab is up."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else None


def save(changed: Sequence[Entry], served: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Add or replace hosts, drop those that no longer exist, and return the record."""
    with alone("record"):
        before = read() or {"hosts": []}
        there = {container.name for container in engine.labelled("host")}
        entries = {x["name"]: x for x in [*before["hosts"], *changed] if x["name"] in there}
        return _write({**before, **(served or {}), "hosts": list(entries.values())})


def forget(name: str) -> None:
    """Drop one host."""
    with alone("record"):
        before = read()
        if before:
            _write({**before, "hosts": [x for x in before["hosts"] if x["name"] != name]})


def remove() -> None:
    """Forget everything."""
    with alone("record"):
        KNOWN_HOSTS.unlink(missing_ok=True)
        RECORD.unlink(missing_ok=True)


@contextmanager
def alone(what: str) -> Iterator[None]:
    """One process at a time, of all clones on this machine."""
    with (cache() / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if what == "up":
                say("waiting for another bring-up on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(record: dict[str, Any]) -> dict[str, Any]:
    record["hosts"].sort(key=lambda entry: int(entry["name"].rpartition("-")[2]))
    record |= {"known_hosts": str(KNOWN_HOSTS), "key": str(STATE / "id_ed25519")}
    lines = [f"{entry['address']} {entry['key']}\n" for entry in record["hosts"]]
    write_atomically(KNOWN_HOSTS, "".join(lines))
    write_atomically(RECORD, json.dumps(record, indent=2) + "\n")
    return record
