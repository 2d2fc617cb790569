"""The lab as a whole: bring-up, its record in `.lab/lab.json`, and single fresh hosts."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from tests.lab import (
    engine,
    hosts,
    identity,
    repositories,
    roots,
    service_image,
    services,
    tunnel,
)
from tests.lab import gpus as cards
from tests.lab.host import HostError, LabHost
from tests.lab.places import STATE, cache, write_atomically
from tests.lab.standins.webui import base
from tests.lab.steps import say, step

RECORD = STATE / "lab.json"
KNOWN_HOSTS = STATE / "known_hosts"


class Lab:
    """The running lab; `Lab.up(hosts=2)` brings it up, `Lab.load()` finds it up."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record

    @property
    def hosts(self) -> list[LabHost]:
        """All hosts, by number."""
        names = ("name", "address", "user", "os")
        found = [LabHost(**{key: x[key] for key in names}) for x in self.record["hosts"]]
        return sorted(found, key=lambda host: host.number)

    def host(self, name: str) -> LabHost:
        """The host of this name; HostError naming those there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        there = ", ".join(host.name for host in self.hosts) or "none"
        raise HostError(f"{name}: no such host in the lab, there are: {there}")

    @classmethod
    def load(cls) -> Lab:
        """The lab that `up` left behind."""
        if not RECORD.exists():
            raise HostError("lab: not up: run python -m tests.lab up")
        return cls(json.loads(RECORD.read_text()))

    @classmethod
    def up(cls, hosts: int = 2) -> Lab:
        """Bring up engine, services and that many hosts; what is there already stays."""
        with _alone("up"):
            client = engine.ensure()
            who = identity.ensure()
            wanted = [default_host(number) for number in range(1, hosts + 1)]
            _network()
            with ThreadPoolExecutor(2) as pool:
                packages = pool.submit(repositories.ensure)
                pool.submit(base.layer)
                roots.ensure(client, sorted({host.os for host in wanted} | {service_image.BASE}))
            with ThreadPoolExecutor(3) as pool:
                serving = pool.submit(services.ensure, who, *packages.result())
                list(pool.map(_provide, wanted))
            return cls(_save(wanted, serving.result()))

    def fresh(
        self,
        name: str,
        os: str | None = None,
        user: str | None = None,
        gpus: Sequence[cards.Gpu] | None = None,
        driver: str | bool | None = True,
    ) -> LabHost:
        """Replace one host by a bare one, or add it; what is not given is as `up` makes it."""
        usual = default_host(int(name.rpartition("-")[2]))
        host = LabHost(name, usual.address, user or usual.user, os or usual.os)
        roots.ensure(engine.connect(), [host.os])
        hosts.create(host, hosts.default_gpus(host.number) if gpus is None else gpus, driver)
        self.record = _save([host])
        return host


def default_host(number: int) -> LabHost:
    """The host of this number as `up` makes it."""
    return hosts.default(number)


def down(everything: bool = False) -> None:
    """Remove the hosts; with `everything` services, network, volumes and the lab's engine too."""
    tunnel.stop()
    with _alone("up"):
        try:
            client = engine.connect()
        except engine.EngineError:
            say("lab: no engine, nothing to remove")
            return
        _remove_hosts(client)
        with _alone("record"):
            KNOWN_HOSTS.unlink(missing_ok=True)
            RECORD.unlink(missing_ok=True)
        if everything:
            services.remove()
            _remove_rest(client)
            engine.stop()


def _remove_hosts(client: Any) -> None:
    for container in engine.labelled("host"):
        with step(f"{container.name}: removed"):
            container.remove(force=True, v=True)
    for volume in client.volumes.list(filters={"label": f"{engine.LABEL}=1"}):
        if volume.name.endswith("-docker"):
            volume.remove(force=True)


def _remove_rest(client: Any) -> None:
    for volume in client.volumes.list(filters={"label": f"{engine.LABEL}=1"}):
        volume.remove(force=True)
    for network in client.networks.list(names=[engine.NETWORK]):
        network.remove()


def _provide(host: LabHost) -> None:
    if hosts.is_up(host):
        say(f"{host.name}: already up at {host.address}")
        return
    with step(f"{host.name}: bare {host.os} booted at {host.address}"):
        hosts.create(host, hosts.default_gpus(host.number), True)


def _network() -> None:
    client = engine.connect()
    if client.networks.list(names=[engine.NETWORK]):
        return
    try:
        client.networks.create(engine.NETWORK, driver="bridge", labels={engine.LABEL: "1"})
    except APIError as error:
        raise engine.EngineError(f"engine: network {engine.NETWORK!r}: {error}") from error


def _save(changed: Iterable[LabHost], served: dict[str, Any] | None = None) -> dict[str, Any]:
    with _alone("record"):
        before = json.loads(RECORD.read_text()) if RECORD.exists() else {"hosts": []}
        entries = {entry["name"]: entry for entry in before["hosts"]}
        entries = {name: entry for name, entry in entries.items() if _exists(name)}
        entries |= {host.name: {**host.to_json(), "key": host.host_key()} for host in changed}
        record = {**before, **(served or {}), "hosts": sorted(entries.values(), key=_number)}
        record |= {"known_hosts": str(KNOWN_HOSTS), "key": str(STATE / "id_ed25519")}
        lines = [f"{x['address']} {x['key']}\n" for x in record["hosts"]]
        write_atomically(KNOWN_HOSTS, "".join(lines))
        write_atomically(RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _number(entry: dict[str, str]) -> int:
    return int(entry["name"].rpartition("-")[2])


def _exists(name: str) -> bool:
    try:
        engine.connect().containers.get(name)
    except NotFound:
        return False
    return True


@contextmanager
def _alone(what: str) -> Iterator[None]:
    path: Path = cache() / f"{what}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if what == "up":
                say("waiting for another bring-up on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
