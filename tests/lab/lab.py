"""The lab as a whole: bring-up, its record in `.lab/lab.json`, and single fresh hosts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError

from tests.lab import (
    engine,
    identity,
    record,
    repositories,
    roots,
    service_image,
    services,
    tunnel,
)
from tests.lab import gpus as cards
from tests.lab import hosts as bare
from tests.lab.faulty import Faulty
from tests.lab.host import HostError, LabHost
from tests.lab.oci import Image, Registry
from tests.lab.standins import webui
from tests.lab.standins.webui import base
from tests.lab.steps import say, step


class Lab:
    """The running lab; `Lab.up(hosts=2)` brings it up, `Lab.load()` finds it up."""

    def __init__(self, contents: dict[str, Any]) -> None:
        self.record = contents

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

    @property
    def faulty(self) -> Faulty:
        """The registry that misbehaves when told to."""
        return Faulty(self.record["faulty_registry"])

    def push(self, image: Image, tag: str) -> str:
        """Put an image of the WebUI under a tag of its own; its reference."""
        at = self.record["registry"]
        password = Path(at["password_file"]).read_text(encoding="utf-8")
        registry = Registry(at["endpoint"], self.record["ca"], at["user"], password)
        registry.push(image, webui.REPOSITORY, tag)
        return f"{webui.NAME}/{webui.REPOSITORY}:{tag}"

    @classmethod
    def load(cls) -> Lab:
        """The lab that `up` left behind."""
        found = record.read()
        if found is None:
            raise HostError("lab: not up: run python -m tests.lab up")
        return cls(found)

    @classmethod
    def up(cls, hosts: int = 2) -> Lab:
        """Bring up engine, services and that many hosts; what is there already stays."""
        with record.alone("up"):
            client = engine.ensure()
            who = identity.ensure()
            wanted = [bare.default(number) for number in range(1, hosts + 1)]
            _network()
            with ThreadPoolExecutor(2) as pool:
                packages = pool.submit(repositories.ensure)
                pool.submit(base.layer)
                roots.ensure(client, sorted({host.os for host in wanted} | {service_image.BASE}))
            with ThreadPoolExecutor(3) as pool:
                serving = pool.submit(services.ensure, who, *packages.result())
                list(pool.map(_provide, wanted))
            return cls(record.save([host.to_json() for host in wanted], serving.result()))

    def fresh(
        self,
        name: str,
        os: str | None = None,
        user: str | None = None,
        gpus: Sequence[cards.Gpu] | None = None,
        driver: str | bool | None = True,
    ) -> LabHost:
        """Replace one host by a bare one, or add it; what is not given is as `up` makes it."""
        usual = bare.default(int(name.rpartition("-")[2]))
        host = LabHost(name, usual.address, user or usual.user, os or usual.os)
        roots.ensure(engine.connect(), [host.os])
        bare.create(host, bare.default_gpus(host.number) if gpus is None else gpus, driver)
        self.record = record.save([host.to_json()])
        return host


def down(everything: bool = False) -> None:
    """Remove the hosts; with `everything` services, network, volumes and the lab's engine too."""
    tunnel.stop()
    with record.alone("up"):
        try:
            client = engine.connect()
        except engine.EngineError:
            say("lab: no engine, nothing to remove")
            return
        _remove_hosts(client)
        record.remove()
        if everything:
            services.remove()
            _remove_rest(client)
            engine.stop()


def _remove_hosts(client: DockerClient) -> None:
    for container in engine.labelled("host"):
        with step(f"{container.name}: removed"):
            container.remove(force=True, v=True)
    for volume in client.volumes.list(filters={"label": f"{engine.LABEL}=1"}):
        if volume.name.endswith("-docker"):
            volume.remove(force=True)


def _remove_rest(client: DockerClient) -> None:
    for volume in client.volumes.list(filters={"label": f"{engine.LABEL}=1"}):
        volume.remove(force=True)
    for network in client.networks.list(names=[engine.NETWORK]):
        network.remove()


def _provide(host: LabHost) -> None:
    if bare.is_up(host):
        say(f"{host.name}: already up at {host.address}")
        return
    with step(f"{host.name}: bare {host.os} booted at {host.address}"):
        bare.create(host, bare.default_gpus(host.number), True)


def _network() -> None:
    client = engine.connect()
    if client.networks.list(names=[engine.NETWORK]):
        return
    try:
        client.networks.create(engine.NETWORK, driver="bridge", labels={engine.LABEL: "1"})
    except APIError as error:
        raise engine.EngineError(f"engine: network {engine.NETWORK!r}: {error}") from error
