"""What a host shows from outside: its journal, its containers, what lies around."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stand import INSTANCE, JOURNAL
from tests.lab import HostError, LabHost

UNIT = "gpuhost-switch@webui"
LIVE = "gpuhost-webui"
LOOK = f"""
echo "@journal"; cat {JOURNAL}
echo "@quarantine"; cat {INSTANCE}/quarantine.json 2>/dev/null || echo '[]'
echo "@proven"; cat {INSTANCE}/proven.json 2>/dev/null || echo '[]'
echo "@last"; tail -n 1 {INSTANCE}/history.jsonl
echo "@unit"; systemctl is-active {UNIT}
echo "@run"; ls /run/gpuhost 2>/dev/null
echo "@containers"; docker inspect $(docker ps -aq --no-trunc) 2>/dev/null || true
echo "@networks"; docker network inspect $(docker network ls -q) 2>/dev/null || true
echo "@end"
"""
TRIES = 5


@dataclass(frozen=True)
class Seen:
    """One container."""

    name: str
    status: str
    health: str
    digest: str
    project: str


@dataclass(frozen=True)
class Snapshot:
    """One look at a host."""

    journal: dict[str, Any] = field(repr=False)
    quarantine: list[dict[str, Any]]
    proven: list[dict[str, Any]]
    last: dict[str, Any]
    unit: str
    run: tuple[str, ...]
    containers: tuple[Seen, ...]
    networks: tuple[str, ...]
    """Names of compose projects that have a network."""

    @property
    def state(self) -> str:
        """Where the journal stands."""
        return str(self.journal.get("state", ""))

    @property
    def works(self) -> bool:
        """Whether the switch's unit is at work."""
        return self.unit in ("active", "activating")

    @property
    def running(self) -> list[Seen]:
        """Containers of ours that run."""
        return [one for one in self.containers if one.status == "running"]

    @property
    def live(self) -> Seen | None:
        """The container with the live name."""
        return next((one for one in self.containers if one.name == LIVE), None)


def look(host: LabHost) -> Snapshot:
    """Look at a host once."""
    found = _parts(host)
    return Snapshot(
        journal=_json(found["journal"], {}),
        quarantine=_json(found["quarantine"], []),
        proven=_json(found["proven"], []),
        last=_json(found["last"], {}),
        unit=found["unit"].strip(),
        run=tuple(found["run"].split()),
        containers=tuple(
            _seen(one)
            for one in _json(found["containers"], [])
            if "org.gpuhost.instance" in (one["Config"]["Labels"] or {})
            or one["Name"].startswith(f"/{LIVE}")
        ),
        networks=tuple(
            one["Labels"]["com.docker.compose.project"]
            for one in _json(found["networks"], [])
            if "com.docker.compose.project" in (one["Labels"] or {})
        ),
    )


def _parts(host: LabHost) -> dict[str, str]:
    """What each question got for an answer; asked again where the engine lost a part of it."""
    for _ in range(TRIES):
        lines = host.run(LOOK).out.splitlines()
        if lines and (lines[0], lines[-1]) == ("@journal", "@end"):
            break
    else:
        raise HostError(f"{host.name}: its answer has no begin or no end: {lines[:3]}")
    found, name = {"journal": ""}, "journal"
    for line in lines:
        if line.startswith("@"):
            name = line[1:]
            found[name] = ""
        else:
            found[name] += f"{line}\n"
    return found


def _seen(found: dict[str, Any]) -> Seen:
    labels = found["Config"]["Labels"] or {}
    return Seen(
        name=found["Name"].lstrip("/"),
        status=found["State"]["Status"],
        health=(found["State"].get("Health") or {}).get("Status", ""),
        digest=found["Config"]["Image"].rpartition("@")[2],
        project=labels.get("com.docker.compose.project", ""),
    )


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return otherwise
