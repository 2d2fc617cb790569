"""From tags to digests, once for a whole run, and into the inventory's lock."""

import getpass
import socket
import threading
from datetime import datetime, timezone
from pathlib import Path

from gpuhost import lock as locks
from gpuhost.lock import KEPT_LABELS, KEPT_VARIABLES, Lock, LockedImage, kept
from gpuhost.planning.registry_login import registry_of
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings


class Resolver:
    """The lock of one inventory, and the registry for what it does not hold yet.

    Hosts of a run share it: each reference is asked for once.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lock = locks.read(path) if path else Lock()
        self.written = dict(self.lock.images)
        self._turn = threading.Lock()

    def resolve(self, settings: Settings, secrets: Secrets, platform: str) -> Lock:
        """The lock with both images of these settings, or with the reason why it has them not."""
        for reference in (settings.image_reference, settings.toolkit_probe_image):
            name = locks.key(reference, platform)
            with self._turn:
                if name not in self.lock.images and name not in self.lock.problems:
                    self.lock = _asked(self.lock, reference, settings, secrets, platform)
        return self.lock

    def keep(self, settings: Settings, platform: str) -> None:
        """Write what a host has proven into the lock, unless it already stands there."""
        names = [
            locks.key(reference, platform)
            for reference in (settings.image_reference, settings.toolkit_probe_image)
        ]
        with self._turn:
            fresh = {n: self.lock.images[n] for n in names if n not in self.written}
            if fresh and self.path:
                self.written.update(fresh)
                locks.write(self.path, Lock(self.written))


def _asked(lock: Lock, reference: str, settings: Settings, secrets: Secrets, platform: str) -> Lock:
    from gpuhost.registry import Reference, Registry, RegistryError

    own = registry_of(reference) == registry_of(settings.image_reference)
    registry = Registry(
        endpoint=(settings.image_registry_endpoint or None) if own else None,
        user=(settings.image_registry_user or None) if own else None,
        password=(secrets.registry or None) if own else None,
        ca=Path(settings.image_registry_ca).expanduser()
        if own and settings.image_registry_ca
        else None,
        mirrors=tuple(settings.engine_registry_mirrors),
    )
    name = locks.key(reference, platform)
    try:
        found = registry.resolve(Reference.parse(reference), platform=platform)
    except (RegistryError, ValueError) as error:
        return lock.with_problem(name, str(error))
    return lock.with_image(
        LockedImage(
            reference=reference,
            digest=found.digest,
            platform=platform,
            created=found.created,
            size=found.size,
            labels=kept(found.labels, KEPT_LABELS),
            env=kept(found.env, KEPT_VARIABLES),
            resolved_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            resolved_by=f"{getpass.getuser()}@{socket.gethostname()}",
        )
    )
