"""A release: one image digest, one rendered compose file and what shaped it, for one instance."""

import functools
import hashlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gpuhost import templates
from gpuhost.actions import WriteFile
from gpuhost.settings import Instance, Settings

INSIDE = Path(__file__).parent / "inside"
FOLDER = "/etc/gpuhost/instances"
LIBRARY = "/usr/local/lib/gpuhost"
MOUNTED = "/opt/gpuhost"
PORT = 7860
"""Where the WebUI listens inside its container."""
HEALTH_PROBE = (
    f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORT}/internal/ping', timeout=5)"
)
"""The image has Python and need not have curl."""


@dataclass(frozen=True)
class Release:
    """What an instance should run on one host."""

    instance: Instance
    settings: Settings
    image: str
    """repository@sha256:..."""
    access: Literal["cdi", "hook"]
    login: str = field(default="", repr=False)
    """user:password, or ""."""

    @property
    def container(self) -> str:
        """The container's name."""
        return container_name(self.instance.name)

    @property
    def published(self) -> tuple[str, int]:
        """Address and port on the host."""
        return self.settings.address_of(self.instance), self.instance.port

    @functools.cached_property
    def id(self) -> str:
        """Twelve hex digits that name exactly this release: the same inputs, the same name."""
        parts = [self._render("").encode(), *(file.content for file in self.mounted)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    @property
    def compose_file(self) -> WriteFile:
        """The compose file, readable by root alone."""
        return WriteFile(compose_path(self.instance.name), self._render(self.id).encode(), 0o600)

    @property
    def mounted(self) -> tuple[WriteFile, ...]:
        """Files that the container reads from the host."""
        if not self.login:
            return ()
        owner = f"{self.settings.storage_uid}:{self.settings.storage_gid}"
        return (
            WriteFile(login_path(self.instance.name), f"{self.login}\n".encode(), 0o400, owner),
            WriteFile(f"{LIBRARY}/inside/sitecustomize.py", inside("sitecustomize.py")),
        )

    @property
    def volumes(self) -> dict[str, str]:
        """Mounts as `host path -> container path[:ro]`."""
        mounts = {self.settings.storage_of(self.instance): "/home/runner"}
        if self.login:
            mounts[login_path(self.instance.name)] = f"{MOUNTED}/login:ro"
            mounts[f"{LIBRARY}/inside/sitecustomize.py"] = f"{MOUNTED}/sitecustomize.py:ro"
        return mounts

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the container; no secrets among them."""
        variables = {"CLI_ARGS": self.instance.flags, **self.settings.webui_environment}
        if self.login:
            inherited = variables.get("PYTHONPATH")
            variables["PYTHONPATH"] = f"{MOUNTED}:{inherited}" if inherited else MOUNTED
        return variables

    @property
    def labels(self) -> dict[str, str]:
        """What marks a container as this instance's."""
        address, port = self.published
        return {
            "org.gpuhost.instance": self.instance.name,
            "org.gpuhost.published": f"{address}:{port}",
        }

    @property
    def cdi_devices(self) -> list[str]:
        """The GPUs as CDI names them."""
        chosen = ["all"] if self.instance.gpus == "all" else self.instance.gpus
        return [f"nvidia.com/gpu={gpu}" for gpu in chosen]

    @property
    def reservation(self) -> dict[str, Any]:
        """The GPUs as compose's `reservations.devices` wants them."""
        if self.access == "cdi":
            return {"driver": "cdi", "device_ids": self.cdi_devices, "capabilities": ["gpu"]}
        request: dict[str, Any] = {"driver": "nvidia", "capabilities": ["gpu"]}
        if self.instance.gpus == "all":
            return {**request, "count": "all"}
        return {**request, "device_ids": [str(gpu) for gpu in self.instance.gpus]}

    def docker_run(self) -> list[str]:
        """The same container as one `docker run`, word by word."""
        address, port = self.published
        words = ["docker", "run", "--detach", "--name", self.container, "--init"]
        words += ["--restart", "unless-stopped", *self.gpu_flags]
        words += ["--publish", f"{bracketed(address)}:{port}:{PORT}"]
        words += [f"--volume={host}:{inner}" for host, inner in self.volumes.items()]
        words += [f"--env={name}={value}" for name, value in self.environment.items()]
        words += ["--shm-size", self.settings.webui_shm_size, "--stop-signal", "SIGTERM"]
        words += ["--stop-timeout", str(self.settings.webui_stop_timeout)]
        words += ["--security-opt", "no-new-privileges:true"]
        words += ["--health-cmd", shlex.join(["python3", "-c", HEALTH_PROBE])]
        words += ["--health-interval", "5s", "--health-timeout", "10s", "--health-retries", "4"]
        words += ["--health-start-period", f"{self.settings.gate_start_timeout}s"]
        words += ["--log-driver", "json-file"]
        words += ["--log-opt", f"max-size={self.settings.webui_log_size}"]
        words += ["--log-opt", f"max-file={self.settings.webui_log_files}"]
        return [*words, self.image]

    def docker_run_line(self) -> str:
        """The same, for a shell."""
        return shlex.join(self.docker_run())

    @property
    def gpu_flags(self) -> list[str]:
        """The GPUs as `docker run` wants them."""
        if self.access == "cdi":
            return [f"--device={device}" for device in self.cdi_devices]
        if self.instance.gpus == "all":
            return ["--gpus", "all"]
        return ["--gpus", f'"device={",".join(str(gpu) for gpu in self.instance.gpus)}"']

    def _render(self, release: str) -> str:
        address, port = self.published
        return templates.render(
            "compose.yaml.j2",
            release=self,
            ports=[f"{bracketed(address)}:{port}:{PORT}"],
            labels={**self.labels, "org.gpuhost.release": release},
            project=f"{self.container}-{release}" if release else self.container,
            settings=self.settings,
            probe=HEALTH_PROBE,
        )  # fmt: skip


def container_name(instance: str) -> str:
    """The container of an instance."""
    return f"gpuhost-{instance}"


def compose_path(instance: str) -> str:
    """Where an instance's compose file lies on a host."""
    return f"{FOLDER}/{instance}/compose.yaml"


def login_path(instance: str) -> str:
    """Where an instance's login lies on a host."""
    return f"{FOLDER}/{instance}/login"


def inside(name: str) -> bytes:
    """One of the programs that run inside the WebUI's container."""
    return (INSIDE / name).read_bytes()


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address
