"""Taking an order: the release is stored and the journal opened, before the switch begins."""

from __future__ import annotations

import os
import time
from typing import Any

from gpuhost.hostside import containers, docker, files, journal
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Proven, Records, StoredRelease
from gpuhost.hostside.request import Request


class Refused(Exception):
    """An order that cannot be taken, in one line."""


def accept(places: Places, order: Any) -> Journal:
    """
    Open the journal of a new switch.

    :param order: {"request": ..., "release": ... unless it is stored already}
    :raises Refused: when the release is neither given nor stored
    """
    if not isinstance(order, dict):
        raise Refused("an order should be an object")
    records, request = Records(places), Request.from_json(order.get("request"))
    if "release" in order:
        given = StoredRelease.from_json(order["release"])
        if given is None or given.id != request.release:
            raise Refused("the release is not as it should be; is switch.pyz of another version?")
        records.keep(given)
    new = records.release(request.release)
    if new is None:
        raise Refused(f"release {request.release} is not stored on this host")
    back = _way_back(records, new)
    old = records.release(back) if back else None
    entry = Journal(
        id=f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}",
        instance=places.instance, to=new.id, back=back, digest=new.digest,
        back_digest=old.digest if old else "",
        kind=request.kind, why=request.why, by=request.by, began=journal.now(),
    )  # fmt: skip
    files.write_json(places.request, request.to_json())
    files.write_json(places.journal, entry.to_json())
    return entry


def unfinished(places: Places) -> Journal | None:
    """The switch that has to end before another one can begin; one without its release cannot."""
    found = Journal.from_json(files.read_json(places.journal, None))
    able = found and found.unfinished and Records(places).release(found.to)
    return found if able else None


def give_up(places: Places, reason: str) -> None:
    """End a switch that nothing may take up again."""
    if entry := unfinished(places):
        entry.state, entry.reason, entry.ended = journal.ABANDONED, reason, journal.now()
        files.write_json(places.journal, entry.to_json())
        Records(places).remember(entry.to_json())


def _way_back(records: Records, new: StoredRelease) -> str:
    """The proven release that runs, or else the last one that can be had; "" for none."""
    proven = [one for one in records.proven() if records.release(one.release)]
    current = containers.look(new.container)
    if current and current.release == new.id and any(one.release == new.id for one in proven):
        return ""
    others = [one for one in proven if one.release != new.id]
    running = [one for one in others if current and one.release == current.release]
    return next((one.release for one in (*running, *others) if _is_here(records, one)), "")


def _is_here(records: Records, entry: Proven) -> bool:
    release = records.release(entry.release)
    names = (entry.image, release.keep_tag) if release else ()
    return any(docker.inspect("image", name) for name in names)
