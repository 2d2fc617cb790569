"""What a host is, as frozen dataclasses. `facts.host_state` fills them from one remote command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True)
class System:
    """The operating system. `family` is "debian", "rhel", "suse" or "" for anything else."""

    id: str
    version: str
    codename: str
    family: str
    name: str
    arch: str
    kernel: str
    init: str
    reboot_required: bool
    clock_offset: float
    """Seconds this host's clock is ahead of the machine that runs pyinfra."""
    python: str = ""
    """Version of its python3, "" for none."""

    @property
    def deb_arch(self) -> str:
        """The architecture as Debian and Docker name it."""
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(self.arch, self.arch)


@dataclass(frozen=True)
class PciGpu:
    """One NVIDIA display controller on the bus, driver or not."""

    address: str
    device: str
    driver: str


@dataclass(frozen=True)
class Gpu:
    """One row of `nvidia-smi --query-gpu`."""

    index: int
    uuid: str
    name: str
    driver: str
    capability: str
    """Such as "8.9"; empty where the driver is too old to say."""
    memory_mib: int | None
    mig: bool


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a host, or the reason there are none.

    `problem` is "" or one of: absent, wsl, jetson, nouveau, vfio, no-driver, not-loaded,
    no-library, mismatch, outdated, no-devices, lost, blocked, broken, hung, unreadable.
    """

    cards: tuple[Gpu, ...] = ()
    pci: tuple[PciGpu, ...] = ()
    problem: str = ""
    detail: str = ""
    listing: tuple[str, ...] = ()
    """Lines of `nvidia-smi -L`: what a container must see too."""
    runfile: bool = False
    """A driver from NVIDIA's .run installer: never touched."""
    secure_boot: bool = False

    @property
    def driver(self) -> str:
        """Version of the driver in use, or ""."""
        return self.cards[0].driver if self.cards else ""


@dataclass(frozen=True)
class Engine:
    """The container engine. `provider` is "" where there is none."""

    provider: str = ""
    """docker-ce, docker.io, moby, snap, desktop, rootless, podman-docker, or unpackaged."""
    version: str = ""
    running: bool = False
    detail: str = ""
    compose: str = ""
    live_restore: bool = False
    swarm: bool = False
    cdi_dirs: tuple[str, ...] = ()
    data_root: str = "/var/lib/docker"
    started: float = 0
    """Seconds since the epoch at which the daemon started; 0 when it is not running."""
    unit_command: str = ""

    @property
    def numbers(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) when unknown."""
        parts = [*self.version.split("+")[0].split("."), "0", "0"][:2]
        return (int(parts[0]), int(parts[1])) if all(p.isdigit() for p in parts) else (0, 0)


@dataclass(frozen=True)
class Toolkit:
    """The NVIDIA Container Toolkit as dockerd and containers meet it."""

    cdi_devices: tuple[str, ...] = ()
    cdi_driver: str = ""
    """Driver version the CDI spec was made for, or "" when it does not say."""
    hooks_changed: float = 0
    """When a hook on dockerd's PATH was last installed, seconds since the epoch; 0: none there."""


@dataclass(frozen=True)
class File:
    """A file that gpuhost manages or must respect."""

    path: str
    kind: str = "missing"
    """missing, file, directory, symlink or other."""
    sha256: str = ""
    mode: int = 0
    owner: str = ""
    """uid:gid, in numbers."""
    content: bytes | None = None
    """Only where planning needs to read it."""


@dataclass(frozen=True)
class Container:
    """The container of an instance."""

    name: str
    status: str
    health: str
    image: str
    """The reference it was created from, with its digest."""
    labels: Mapping[str, str]
    exit_code: int
    error: str
    gpus_seen: tuple[str, ...] | None
    """`nvidia-smi -L` inside it; None when it does not run or could not be asked."""
    gpu_error: str = ""


@dataclass(frozen=True)
class Disk:
    """A file system, found through the nearest existing parent of a path."""

    mount: str
    free: int
    size: int


@dataclass(frozen=True)
class HostState:
    """Everything planning needs to know about one host."""

    system: System
    gpus: Gpus
    engine: Engine
    toolkit: Toolkit
    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed version by package name, of the packages that matter here."""
    foreign_sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other files that name a repository of ours: its key word -> paths."""
    files: Mapping[str, File] = field(default_factory=dict)
    containers: Mapping[str, Container] = field(default_factory=dict)
    images: frozenset[str] = frozenset()
    """Local images by `repository@digest`."""
    disks: Mapping[str, Disk] = field(default_factory=dict)
    """By the path that was asked for."""
    ports: frozenset[tuple[str, int]] = frozenset()
    """Listening TCP sockets: address and port."""
    busy_units: tuple[str, ...] = ()
    """Our own units that still work: jobs and switches."""

    def file(self, path: str) -> File:
        """What was found at a path."""
        return self.files.get(path, File(path))
