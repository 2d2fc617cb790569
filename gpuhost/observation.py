"""What to ask a host so that its plan can be made: the arguments of the one fact."""

from typing import TypedDict

from gpuhost.hostside.places import PROGRAM
from gpuhost.planning import daemon, driver, engine, proof, switch_program, toolkit
from gpuhost.planning.image import familiar, repository
from gpuhost.planning.records import recorded
from gpuhost.planning.registry_login import CLIENT, registry_of
from gpuhost.planning.repository import rpm_paths, source_words
from gpuhost.release import LIBRARY, compose_path, container_name, login_path
from gpuhost.settings import Settings


class Questions(TypedDict):
    """Arguments of `facts.host_state.HostState`."""

    files: list[str]
    contents: list[str]
    disks: list[str]
    source_words: list[str]
    containers: list[str]
    repositories: list[str]


def questions(settings: Settings) -> Questions:
    """Every path, container and repository that planning looks at."""
    names = [one.name for one in settings.webui_instances]
    storages = [settings.storage_of(one) for one in settings.webui_instances]
    keys = [engine.KEY, engine.RPM_KEY, toolkit.KEY, toolkit.RPM_KEY]
    records = [str(path) for name in names for path in recorded(name)]
    contents = [*keys, daemon.PATH, proof.RECORD, *records]
    registry = registry_of(settings.image_reference)
    files = [
        *(engine.SOURCE, toolkit.SOURCE, toolkit.PREFERENCES, driver.SOURCE, daemon.DROP_IN),
        *(*rpm_paths(engine.RPM_NAME), *rpm_paths(toolkit.RPM_NAME)),
        *(PROGRAM, switch_program.SWITCH_UNIT),
        *(switch_program.STARTER, switch_program.STARTER_ENABLED),
        *(f"{CLIENT}/config.json", f"/etc/docker/certs.d/{registry}/ca.crt"),
        f"{LIBRARY}/inside/sitecustomize.py",
        *map(compose_path, names),
        *map(login_path, names),
        *storages,
        *contents,
    ]
    urls = (
        *(settings.engine_apt_url, settings.engine_rpm_url),
        *(settings.toolkit_apt_url, settings.toolkit_rpm_url),
    )
    images = (settings.image_reference, settings.toolkit_probe_image)
    return Questions(
        files=files,
        contents=contents,
        disks=["/var/lib/docker", *storages],
        source_words=sorted({word for url in urls if (word := source_words(url))}),
        containers=[container_name(name) for name in names],
        repositories=sorted({familiar(repository(image)) for image in images}),
    )
