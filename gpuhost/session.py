"""One run on one host: its settings, what was observed, what is planned.

Host data becomes settings here; `startup` reads it too, to check it before any host is contacted,
and `tasks` reads `format`.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from gpuhost import lock as locks
from gpuhost import secrets, settings
from gpuhost.facts.host_state import HostState
from gpuhost.lock import Lock
from gpuhost.lookup import operator
from gpuhost.observation import questions
from gpuhost.plan import Plan
from gpuhost.planning import plan
from gpuhost.planning.records import journal
from gpuhost.planning.view import View
from gpuhost.release import container_name
from gpuhost.resolving import Resolver
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings
from gpuhost.state import HostState as State


@dataclass
class Session:
    """What the stages of one host share during a run."""

    host: Host
    settings: Settings
    secrets: Secrets
    resolver: Resolver
    to: str | None = None
    """What an update goes to: a tag, a digest, or "" for what the reference means now."""
    state: State | None = field(default=None, repr=False)
    plan: Plan = field(default_factory=Plan, repr=False)
    verb: str = "deploy"
    held: bool = False
    """Whether this run asks for the host's run lock."""

    @property
    def view(self) -> View:
        """What planning looks at, as last observed."""
        if self.state is None:
            raise RuntimeError(f"{self.host.name}: nothing was observed yet")
        return View(
            self.state, self.settings, self.resolver.lock, self.secrets, self.verb, operator()
        )

    def asked(self, key: str) -> str:
        """What `--data KEY=` says; "" for nothing."""
        return asked(self.host, key)

    @property
    def by(self) -> str:
        """Who runs this."""
        return operator()

    @property
    def image_key(self) -> str:
        """How the lock calls this host's image."""
        return locks.key(self.settings.image_reference, self.view.platform)

    @property
    def running_digests(self) -> set[str]:
        """Digests of the images that this host's instances run."""
        names = [container_name(one.name) for one in self.settings.webui_instances]
        found = [self.view.state.containers.get(name) for name in names]
        return {one.image.rpartition("@")[2] for one in found if one}

    @property
    def interrupted(self) -> list[str]:
        """Instances whose last switch has not ended."""
        names = [one.name for one in self.settings.webui_instances]
        found = [(name, journal(self.view.state, name)) for name in names]
        return [name for name, entry in found if entry and entry.unfinished]

    @property
    def address(self) -> str:
        """Where this machine reaches the host; "localhost" for itself."""
        if self.host.name.startswith("@local"):
            return "localhost"
        return str(self.host.data.get("ssh_hostname") or self.host.name)

    def observe(self) -> bool:
        """Read the host once and plan; False when the host could not be read."""
        self.state = self.host.get_fact(HostState, **questions(self.settings))
        if self.state is None:
            return False
        lock = self._resolved(f"linux/{self.state.system.deb_arch}")
        self.plan = plan(self.state, self.settings, lock, self.secrets, self.verb, operator())
        return True

    def _resolved(self, platform: str) -> Lock:
        """What to converge to; the way back asks nobody."""
        if self.verb == "rollback":
            return self.resolver.lock
        if self.to is None:
            return self.resolver.resolve(self.settings, self.secrets, platform)
        return self.resolver.refresh(self.settings, self.secrets, platform, self.to)

    def keep_lock(self) -> None:
        """Let the inventory's lock remember what this host has proven, where it holds nothing."""
        if self.verb == "deploy":
            self.resolver.keep(self.settings, self.view.platform)


def asked(host: Host, key: str) -> str:
    """What `--data KEY=` says; "" for nothing."""
    return str(host.data.get(key) or "")


def this_host() -> Host:
    """The host whose turn it is."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return host


def current(host: Host, verb: str = "deploy", to: str | None = None) -> Session:
    """The session of a host: settings read, nothing observed yet."""
    data: dict[str, Any] = dict(host.data.dict())  # type: ignore[no-untyped-call]
    checked = settings.read({key: data[key] for key in data if key in Settings.model_fields})
    path = getattr(host.state, "gpuhost_lock", None)
    return Session(host, checked, secrets.read(checked), _resolver(path), to, verb=verb)


@cache
def _resolver(path: Path | None) -> Resolver:
    return Resolver(path)
