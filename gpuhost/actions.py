"""What a step does to a host, as data. `operations` turns each into commands."""

from dataclasses import dataclass, field
from typing import Literal

Effect = Literal["nothing", "reload", "restart"]
"""What makes a running engine follow its daemon.json."""


@dataclass(frozen=True)
class WriteFile:
    """Put a file in place atomically."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "0:0"


@dataclass(frozen=True)
class WriteKey:
    """Put a repository's key in place, once its fingerprint is the pinned one."""

    path: str
    source: str
    """URL, or path on the machine that runs pyinfra."""
    fingerprint: str


@dataclass(frozen=True)
class MoveAside:
    """Rename a file that collides with ours, so that it can be had back."""

    path: str


@dataclass(frozen=True)
class MakeDirectory:
    """Make a directory, or set its owner and mode; what is inside stays as it is."""

    path: str
    mode: int
    owner: str


@dataclass(frozen=True)
class Packages:
    """Install and remove packages in one transaction of the distribution's own tool."""

    label: str
    install: tuple[str, ...]
    """Names, or `name=version` with a trailing `*` allowed."""
    remove: tuple[str, ...] = ()
    rpm_key: str = ""
    """Path of their repository's key on the host, for rpm's own list of keys."""


@dataclass(frozen=True)
class EnableUnit:
    """Enable and start a systemd unit."""

    unit: str


@dataclass(frozen=True)
class RunUnit:
    """Run a oneshot systemd unit now."""

    unit: str


@dataclass(frozen=True)
class ReloadUnits:
    """`systemctl daemon-reload`."""


@dataclass(frozen=True)
class ConfigureDaemon:
    """Validate and write daemon.json, then the least that makes it true."""

    text: str | None
    """None leaves the file and only restarts."""
    effect: Effect
    live_restore: bool
    """Whether containers can be kept alive through a restart."""


@dataclass(frozen=True)
class ProveGpus:
    """Show that a container sees exactly the host's GPUs, and remember it."""

    image: str
    access: Literal["cdi", "hook"]
    record: str


@dataclass(frozen=True)
class PullImage:
    """Pull one image by digest."""

    reference: str
    size: int
    """Compressed bytes, of all layers."""


@dataclass(frozen=True)
class SwitchInstance:
    """Move an instance to a release and prove it, or leave what was there."""

    name: str
    release: str
    order: bytes = field(repr=False)
    """What `switch.pyz accept` reads; it may hold a login."""


@dataclass(frozen=True)
class RemoveInstance:
    """Remove the container of an instance that is no longer wanted; its storage stays."""

    name: str


@dataclass(frozen=True)
class Reboot:
    """Reboot the host and wait for it."""


Action = (
    WriteFile
    | WriteKey
    | MoveAside
    | MakeDirectory
    | Packages
    | EnableUnit
    | RunUnit
    | ReloadUnits
    | ConfigureDaemon
    | ProveGpus
    | PullImage
    | SwitchInstance
    | RemoveInstance
    | Reboot
)
