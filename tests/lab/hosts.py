"""Making bare hosts: a container that boots systemd, at a loopback address of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from docker.errors import NotFound

from tests.lab import engine, machine, roots
from tests.lab import gpus as cards
from tests.lab.host import LAB, LabHost, hardware_files
from tests.lab.places import STATE, recipe_hash

FILES = Path(__file__).with_name("host")
PORTS = (22, 7860, 7861, 7862)
RECIPE = "gpuhost.lab.recipe"
DEFAULT_GPUS: dict[int, tuple[cards.Gpu, ...]] = {
    1: (cards.RTX_4090,),
    2: (cards.RTX_3060, cards.RTX_4090),
}


def default(number: int) -> LabHost:
    """Odd hosts are Debian 12 with root's login, even ones Debian 13 with a sudoer's."""
    os, user = ("debian12", "root") if number % 2 else ("debian13", "operator")
    return LabHost(f"lab-{number}", f"127.0.77.{10 + number}", user, os)


def default_gpus(number: int) -> tuple[cards.Gpu, ...]:
    """The cards that `up` puts into a host."""
    return DEFAULT_GPUS.get(number, (cards.RTX_4090,))


def is_up(host: LabHost) -> bool:
    """Whether the host is as this recipe makes it; one that is stopped or booting comes up."""
    try:
        container = engine.connect().containers.get(host.container)
    except NotFound:
        return False
    if container.labels.get(RECIPE) != _recipe(host) or container.status == "created":
        return False
    if container.status != "running":
        container.start()
    host.settle()
    return True


def create(host: LabHost, gpus: Sequence[cards.Gpu], driver: str | bool | None) -> None:
    """Replace the host by a bare one and wait until it can be logged in to."""
    host.destroy()
    client = engine.connect()
    client.volumes.create(host.volume, labels={engine.LABEL: "1"})
    client.api.create_container(
        roots.ROOTS[host.os].image,
        ["/bin/sh", f"{LAB}/boot"],
        name=host.container,
        hostname=host.name,
        environment={"container": "docker", "LAB_USER": host.user},
        labels={engine.LABEL: "1", "gpuhost.lab.role": "host", RECIPE: _recipe(host)},
        ports=list(PORTS),
        volumes=["/var/lib/docker"],
        stop_signal="SIGRTMIN+3",
        host_config=_host_config(host),
    )
    host.put({**_files(host), **hardware_files(host.number, gpus, driver)})
    client.api.start(host.container)
    host.settle()


def _host_config(host: LabHost) -> dict[str, object]:
    config: dict[str, object] = engine.connect().api.create_host_config(
        # Everything but one capability: machines that are containers themselves may lack it.
        cap_add=["ALL"],
        cap_drop=["SYS_RESOURCE"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        cgroupns="private",
        tmpfs={"/run": "", "/run/lock": ""},
        binds={host.volume: {"bind": "/var/lib/docker", "mode": "rw"}},
        port_bindings={port: (host.address, port) for port in PORTS},
        network_mode=engine.NETWORK,
        # `reboot` inside ends the container; this is what powers it on again.
        restart_policy={"Name": "always"},
        extra_hosts=machine.known_names(),
    )
    # What the engine's own client sends for `systempaths=unconfined`.
    return {**config, "MaskedPaths": [], "ReadonlyPaths": []}


def _files(host: LabHost) -> dict[str, tuple[bytes | str, int]]:
    scripts = {f"{LAB}/{path.name}": (path.read_bytes(), 0o755) for path in FILES.iterdir()}
    sources = machine.sources(roots.ROOTS[host.os].suite)
    return {
        **scripts,
        f"{LAB}/authorized_keys": ((STATE / "id_ed25519.pub").read_bytes(), 0o644),
        "/etc/apt/sources.list.d/debian.sources": (sources, 0o644),
        "/etc/apt/apt.conf.d/90lab": (machine.apt_options(), 0o644),
        str(machine.CA_BUNDLE): (machine.CA_BUNDLE.read_bytes(), 0o644),
    }


def _recipe(host: LabHost) -> str:
    key = (STATE / "id_ed25519.pub").read_bytes()
    return recipe_hash(FILES, roots.ROOTS[host.os].image, repr(host), key)
