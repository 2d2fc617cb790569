"""The engine's own interface, for the few things that its command line says badly."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from typing import Any

from gpuhost.hostside import docker


class Socket(http.client.HTTPConnection):
    """HTTP to the engine's own socket."""

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(docker.SOCKET)


def ask(method: str, path: str, timeout: float) -> Any:
    """
    One request to the engine; its JSON answer.

    :raises docker.DockerError: when it does not answer, or not with what was asked for
    """
    connection = Socket("docker", timeout=timeout)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        document = json.loads(answer.read() or b"{}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise docker.DockerError(f"{path}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status >= 400:
        said = document.get("message") if isinstance(document, dict) else ""
        raise docker.DockerError(f"{path}: {said or f'HTTP {answer.status}'}")
    return document


def numbers() -> tuple[int, int]:
    """The newest version of its interface that the engine speaks."""
    major, _, minor = str(ask("GET", "/version", 20).get("ApiVersion", "")).partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def problem() -> str:
    """Why nothing can be asked of the engine; "" when it answers."""
    if not shutil.which("docker"):
        return "missing: there is no docker on this host"
    return "" if docker.alive() else f"down: nothing answers at {docker.SOCKET}"
