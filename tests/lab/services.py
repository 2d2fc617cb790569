"""The lab's services: image registries, a sound and a faulty one, and signed apt repositories."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests
from docker.errors import NotFound

from tests.lab import engine, faulty, service_image
from tests.lab.host import pack
from tests.lab.identity import REGISTRY_ADDRESS, REGISTRY_NAME, REGISTRY_USER, Identity
from tests.lab.places import STANDINS, STATE, recipe_hash
from tests.lab.standins import webui
from tests.lab.steps import say, step

FILES = Path(__file__).with_name("service")
PACKAGES_NAME = "packages.gpuhost.test"
PACKAGES_ADDRESS = "127.0.77.3"
REGISTRY_PORT = 5000
REGISTRY_VOLUME = "gpuhost-lab-registry"
RECIPE = "gpuhost.lab.recipe"
READY_TIMEOUT = 30.0

Record = dict[str, object]


@dataclass(frozen=True)
class Service:
    """One container of the lab that is not a host; `files` go in before it starts."""

    name: str
    address: str
    port: int
    command: tuple[str, ...]
    binds: Mapping[str, dict[str, str]]
    files: Mapping[str, tuple[bytes | str, int]] = field(default_factory=dict)

    @property
    def recipe(self) -> str:
        """Changes with anything that the container is made of."""
        parts = [repr(self.command), repr(sorted(self.binds.items())), repr(self.files)]
        return recipe_hash(self.name, self.address, service_image.tag(), *parts)


def ensure(identity: Identity, folders: Mapping[str, Path], keys: Mapping[str, str]) -> Record:
    """Have the services running and the images pushed; their part of lab.json."""
    service_image.ensure()
    _provide(_packages(folders), lambda: _answers(f"http://{PACKAGES_ADDRESS}/nvidia/gpgkey"))
    endpoint = f"https://{REGISTRY_ADDRESS}:{REGISTRY_PORT}"
    _provide(_registry(identity), lambda: _answers(f"{endpoint}/v2/", identity.ca, 401))
    broken = f"https://{faulty.ADDRESS}:{REGISTRY_PORT}"
    _provide(_faulty(identity), lambda: _answers(f"{broken}/v2/", identity.ca, 401))
    password = identity.password.read_text()
    references = webui.publish(endpoint, identity.ca, REGISTRY_USER, password)
    probe = references.pop("probe")
    return {
        "ca": str(STATE / "ca.pem"),
        "registry": _coordinates(REGISTRY_NAME, endpoint),
        "faulty_registry": _coordinates(faulty.NAME, broken),
        "docker_apt": _apt("docker/linux/debian", "", "gpg", keys["docker"]),
        "nvidia_apt": _apt("nvidia", "/stable/deb", "gpgkey", keys["nvidia"]),
        "nvidia_tampered_apt": _apt("nvidia-tampered", "/stable/deb", "gpgkey", keys["nvidia"]),
        "nvidia_wrongkey_apt": _apt("nvidia-wrongkey", "/stable/deb", "gpgkey", keys["nvidia"]),
        "debian_nonfree_apt": _apt("debian-nonfree", "", "gpgkey", keys["debian"]),
        "images": {"webui": references, "probe": probe},
    }


def remove() -> None:
    """Remove the services' containers; their volumes stay."""
    for container in engine.labelled("service"):
        with step(f"{container.name}: removed"):
            container.remove(force=True)


def _coordinates(name: str, endpoint: str) -> dict[str, str]:
    return {
        "name": f"{name}:{REGISTRY_PORT}",
        "endpoint": endpoint,
        "user": REGISTRY_USER,
        "password_file": str(STATE / "registry-password"),
    }


def _apt(tree: str, base: str, key: str, fingerprint: str) -> dict[str, str]:
    return {
        "url": f"http://{PACKAGES_NAME}/{tree}{base}",
        "key_url": f"http://{PACKAGES_ADDRESS}/{tree}/{key}",
        "fingerprint": fingerprint,
    }


def _packages(folders: Mapping[str, Path]) -> Service:
    return Service(
        PACKAGES_NAME,
        PACKAGES_ADDRESS,
        80,
        ("nginx", "-c", "/etc/gpuhost-lab/nginx.conf", "-g", "daemon off;"),
        {
            str(folder): {"bind": f"/srv/packages/{path}", "mode": "ro"}
            for path, folder in folders.items()
        },
        {"/etc/gpuhost-lab/nginx.conf": ((FILES / "nginx.conf").read_bytes(), 0o644)},
    )


def _registry(identity: Identity) -> Service:
    secret = {"htpasswd": 0o600, "key.pem": 0o600, "certificate.pem": 0o644}
    files: dict[str, tuple[bytes | str, int]] = {
        f"/etc/gpuhost-lab/{name}": ((identity.registry / name).read_bytes(), mode)
        for name, mode in secret.items()
    }
    files["/etc/gpuhost-lab/registry.yml"] = ((FILES / "registry.yml").read_bytes(), 0o644)
    return Service(
        REGISTRY_NAME,
        REGISTRY_ADDRESS,
        REGISTRY_PORT,
        ("docker-registry", "serve", "/etc/gpuhost-lab/registry.yml"),
        {REGISTRY_VOLUME: {"bind": "/var/lib/registry", "mode": "rw"}},
        files,
    )


def _faulty(identity: Identity) -> Service:
    folder = "/etc/gpuhost-lab"
    program = (STANDINS / "faulty_registry.py").read_bytes()
    files: dict[str, tuple[bytes | str, int]] = {
        f"{folder}/key.pem": ((identity.registry / "key.pem").read_bytes(), 0o600),
        f"{folder}/certificate.pem": ((identity.registry / "certificate.pem").read_bytes(), 0o644),
        f"{folder}/ca.pem": (identity.ca.read_bytes(), 0o644),
        f"{folder}/faulty_registry.py": (program, 0o755),
        f"{folder}/served.jsonl": ("", 0o644),
    }
    command = ("python3", f"{folder}/faulty_registry.py")
    return Service(faulty.NAME, faulty.ADDRESS, REGISTRY_PORT, command, {}, files)


def _provide(service: Service, ready: Callable[[], bool]) -> None:
    if _is_up(service) and ready():
        say(f"{service.name}: already up at {service.address}")
        return
    with step(f"{service.name}: up at {service.address}:{service.port}"):
        _create(service)
        deadline = time.monotonic() + READY_TIMEOUT
        while not ready():
            if time.monotonic() > deadline:
                raise engine.EngineError(f"{service.name}: no answer, it said: {_said(service)!r}")
            time.sleep(0.1)


def _is_up(service: Service) -> bool:
    try:
        container = engine.connect().containers.get(service.name)
    except NotFound:
        return False
    return container.status == "running" and container.labels.get(RECIPE) == service.recipe


def _create(service: Service) -> None:
    client = engine.connect()
    with suppress(NotFound):
        client.containers.get(service.name).remove(force=True)
    client.volumes.create(REGISTRY_VOLUME, labels={engine.LABEL: "1"})
    container = client.containers.create(
        service_image.tag(),
        list(service.command),
        name=service.name,
        hostname=service.name,
        init=True,
        labels={engine.LABEL: "1", "gpuhost.lab.role": "service", RECIPE: service.recipe},
        volumes=dict(service.binds),
        ports={f"{service.port}/tcp": (service.address, service.port)},
        network=engine.NETWORK,
    )
    container.put_archive("/", pack(service.files))
    container.start()


def _said(service: Service) -> str:
    container = engine.connect().containers.get(service.name)
    return str(container.logs(tail=5).decode("utf-8", "replace"))


def _answers(url: str, ca: Path | None = None, status: int = 200) -> bool:
    try:
        session = requests.Session()
        session.trust_env = False
        answer = session.get(url, timeout=5, verify=str(ca) if ca else True)
    except requests.RequestException:
        return False
    return answer.status_code == status
