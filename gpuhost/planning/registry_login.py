"""Login and CA of the image's registry, in files of their own.

The engine's own ~/.docker/config.json is left alone: pulls name this folder with --config.
"""

import base64
import json

from gpuhost.actions import MakeDirectory, WriteFile
from gpuhost.plan import Lines, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.view import View

CLIENT = "/etc/gpuhost/docker"
DOCKER_HUB = "https://index.docker.io/v1/"


def lines(view: View) -> Lines:
    """Steps that let the host's engine reach the registry."""
    for subject, file in (("registry login", login_file(view)), ("registry CA", ca_file(view))):
        if file and (now := drift(view.state, file)):
            mode = 0o700 if file.mode == 0o600 else 0o755
            folder = MakeDirectory(file.path.rpartition("/")[0], mode, "0:0")
            yield Step(
                Stage.REGISTRY, subject, now, file.path, "the registry asks for it", (folder, file)
            )  # fmt: skip


def registry_of(reference: str) -> str:
    """The registry a reference names; docker.io where it names none."""
    first, slash, _ = reference.partition("/")
    return (
        first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    )


def login_file(view: View) -> WriteFile | None:
    """The docker client's config with the login, mode 0600."""
    settings = view.settings
    if not settings.image_registry_user:
        return None
    registry = registry_of(settings.image_reference)
    pair = f"{settings.image_registry_user}:{view.secrets.registry}".encode()
    auth = {"auth": base64.b64encode(pair).decode()}
    key = DOCKER_HUB if registry == "docker.io" else registry
    text = json.dumps({"auths": {key: auth}}, indent=4) + "\n"
    return WriteFile(f"{CLIENT}/config.json", text.encode(), 0o600)


def ca_file(view: View) -> WriteFile | None:
    """The CA of a private registry, where the engine looks for it."""
    if not view.secrets.registry_ca:
        return None
    registry = registry_of(view.settings.image_reference)
    return WriteFile(f"/etc/docker/certs.d/{registry}/ca.crt", view.secrets.registry_ca)
