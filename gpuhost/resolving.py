"""From tags to digests, once for a whole run, and into the inventory's lock."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from gpuhost import lock as locks
from gpuhost import lock_file
from gpuhost.lock import DIGEST, Lock, LockedImage, Quarantined
from gpuhost.lookup import at_registry, in_lock, now, operator
from gpuhost.planning.image import short
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings

LIFTING = "gpuhost.tasks.unquarantine lifts it"


class Resolver:
    """The lock of one inventory, and the registry for what it does not hold yet.

    Hosts of a run share it: each reference is asked for once. `lock` is what this run converges
    to, `written` what stands in the file; `remarks` says by key why a refresh stays where it is.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lock = lock_file.read(path) if path else Lock()
        self.written = self.lock
        self.remarks: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._turn = threading.Lock()

    def resolve(self, settings: Settings, secrets: Secrets, platform: str) -> Lock:
        """The lock with both images of these settings, or with the reason why it has them not."""
        for reference in (settings.image_reference, settings.toolkit_probe_image):
            name = locks.key(reference, platform)
            with self._turn:
                if name not in self.lock.images and name not in self.lock.problems:
                    try:
                        image = at_registry(reference, settings, secrets, platform)
                    except ValueError as error:
                        self.lock = self.lock.with_problem(name, str(error))
                    else:
                        self.lock = self.lock.with_image(image)
        return self.lock

    def refresh(self, settings: Settings, secrets: Secrets, platform: str, to: str = "") -> Lock:
        """The lock with what the image means now, or with another tag or digest of it.

        Nothing is written. Where the answer is in quarantine the lock's image stays, with a
        remark; where there is no answer, or an explicit one is in quarantine, it is a problem.
        """
        name = locks.key(settings.image_reference, platform)
        with self._turn:
            if name not in self._wanted:
                self._wanted[name] = to
                self._refresh(name, settings, secrets, platform)
            elif self._wanted[name] != to:
                several = " and ".join(map(repr, (self._wanted[name], to)))
                problem = f"{name}: should go to one image, got {several}"
                self.lock = self.lock.with_problem(name, problem)
        return self.resolve(settings, secrets, platform)

    def _refresh(self, name: str, settings: Settings, secrets: Secrets, platform: str) -> None:
        to, old = self._wanted[name], self.written.images.get(name)
        try:
            image = in_lock(self.written, name, to) or at_registry(
                settings.image_reference, settings, secrets, platform, to, old
            )
        except ValueError as error:
            self.lock = self.lock.with_problem(name, str(error))
            return
        failures = self.lock.quarantine_of(image.digest)
        if not failures:
            self.lock = self.lock.moved(image, now(), operator())
            return
        means = f"{short(image.digest)} now, which is in quarantine ({_told(failures)})"
        tag = to or settings.image_reference.rpartition("/")[2].rpartition(":")[2]
        if to or old is None:
            problem = f"{settings.image_reference}: {tag} means {means}; {LIFTING}"
            self.lock = self.lock.with_problem(name, problem)
        else:
            self.remarks[name] = f"{tag} means {means}: staying at {short(old.digest)}; {LIFTING}"

    def keep(self, settings: Settings, platform: str) -> None:
        """Write what a host has proven into the lock, unless it already stands there."""
        names = [
            locks.key(reference, platform)
            for reference in (settings.image_reference, settings.toolkit_probe_image)
        ]
        with self._turn:
            proven = [image for name in names if (image := self.lock.images.get(name))]
            fresh = [image for image in proven if image.key not in self.written.images]

            def created(lock: Lock) -> Lock:
                for image in fresh:
                    if image.key not in lock.images:
                        lock = lock.with_image(image)
                return lock

            if fresh:
                self._change(created)

    def commit(self, names: Iterable[str], by: str = "") -> tuple[str, ...]:
        """Write what these keys were refreshed to, with history; which of them have moved.

        What has come into quarantine since stays as it is, with a remark.
        """
        moved: list[str] = []

        def all_moved(lock: Lock) -> Lock:
            for name in dict.fromkeys(names):
                image, old = self.lock.images.get(name), lock.images.get(name)
                if image is None or (old and old.digest == image.digest):
                    continue
                if failures := lock.quarantine_of(image.digest):
                    what = f"{short(image.digest)} is in quarantine by now ({_told(failures)})"
                    self.remarks[name] = f"{name}: {what}: the lock stays; {LIFTING}"
                    continue
                lock = lock.moved(image, now(), by or operator())
                moved.append(name)
            return lock

        with self._turn:
            self._change(all_moved)
        return tuple(moved)

    def move_to(self, image: LockedImage, by: str = "") -> bool:
        """Write that a reference means this image again; whether it did not before.

        :raises LockError: when it is no image of a lock, such as one without a digest
        """
        moved: list[str] = []

        def back(lock: Lock) -> Lock:
            after = lock.moved(image, now(), by or operator())
            moved.extend([image.key] if after is not lock else [])
            return after

        with self._turn:
            self._change(back)
            self.lock = self.lock.moved(image, now(), by or operator())
        return bool(moved)

    def quarantine(self, entries: Iterable[Quarantined]) -> None:
        """Write that digests failed their gates; what references mean stays.

        An entry without a whole digest keeps nothing away, and is left out.
        """
        several = [entry for entry in entries if DIGEST.fullmatch(entry.digest)]

        def all_quarantined(lock: Lock) -> Lock:
            for entry in several:
                lock = lock.quarantined(entry)
            return lock

        with self._turn:
            self._change(all_quarantined)

    def lift(self, digest: str | None = None) -> tuple[Quarantined, ...]:
        """Write that a digest, a prefix of one, or all are not in quarantine; which were.

        :raises LockError: when it is no digest, or the prefix of several
        """
        lifted: list[Quarantined] = []

        def without(lock: Lock) -> Lock:
            lock, gone = lock.lifted(digest)
            lifted.extend(gone)
            return lock

        with self._turn:
            self._change(without)
        return tuple(lifted)

    def _change(self, to: Callable[[Lock], Lock]) -> None:
        self.written = lock_file.change(self.path, to) if self.path else to(self.written)
        self.lock = replace(self.lock, quarantine=self.written.quarantine)


def _told(failures: tuple[Quarantined, ...]) -> str:
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{failures[0]}{more}"
