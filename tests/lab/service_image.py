"""The image of the lab's services: Debian's registry, web server and Python on a host's root."""

from __future__ import annotations

from contextlib import suppress

from docker.errors import NotFound

from tests.lab import engine, machine, roots
from tests.lab.host import pack
from tests.lab.places import recipe_hash
from tests.lab.steps import step

BASE = "debian13"
PACKAGES = "docker-registry nginx-light python3-minimal libpython3-stdlib"
REPOSITORY = "gpuhost-lab/services"
BUILDER = "gpuhost-lab-service-image"
INSTALL = f"""set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends {PACKAGES}
apt-get clean
rm -rf /var/lib/apt/lists/*
"""
# Nothing that is installed may start: the container's command is its only service.
NO_SERVICES = "#!/bin/sh\nexit 101\n"


def tag() -> str:
    """The image's full name; changes with what it is made of."""
    return f"{REPOSITORY}:{recipe_hash(roots.ROOTS[BASE].image, INSTALL)}"


def ensure() -> None:
    """Have the image; its base must be there."""
    client = engine.connect()
    if client.images.list(tag()):
        return
    with step(f"image {tag()}: built with {PACKAGES}"):
        with suppress(NotFound):
            client.containers.get(BUILDER).remove(force=True)
        container = client.containers.create(
            roots.ROOTS[BASE].image,
            ["/bin/sh", "-c", INSTALL],
            name=BUILDER,
            labels={engine.LABEL: "1"},
            extra_hosts=machine.known_names(),
        )
        container.put_archive("/", pack(_files()))
        container.start()
        rc = container.wait()["StatusCode"]
        if rc:
            said = container.logs(tail=4).decode("utf-8", "replace")
            raise engine.EngineError(f"{BUILDER}: apt-get: rc {rc}: {said!r}")
        container.commit(REPOSITORY, tag().partition(":")[2])
        container.remove()


def _files() -> dict[str, tuple[bytes | str, int]]:
    return {
        "/usr/sbin/policy-rc.d": (NO_SERVICES, 0o755),
        "/etc/apt/sources.list.d/debian.sources": (
            machine.sources(roots.ROOTS[BASE].suite),
            0o644,
        ),
        "/etc/apt/apt.conf.d/90lab": (machine.apt_options(), 0o644),
        str(machine.CA_BUNDLE): (machine.CA_BUNDLE.read_bytes(), 0o644),
    }
