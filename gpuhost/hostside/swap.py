"""Two containers, one name: the new one is made before the old one is stopped.

The old container is kept, under another name, until the new one is proven: starting it again is
the surest way back, and it holds its image against anybody's prune.
"""

from __future__ import annotations

from gpuhost.hostside import containers
from gpuhost.hostside.containers import Container
from gpuhost.hostside.docker import DockerError
from gpuhost.hostside.gating import GateFailed
from gpuhost.hostside.records import StoredRelease


class Swap:
    """The containers of one instance while it moves from `old` to `new`."""

    def __init__(self, new: StoredRelease, old: StoredRelease | None) -> None:
        self.new, self.old = new, old
        self.name = new.container

    @property
    def aside(self) -> str:
        """What the old container is called meanwhile."""
        return f"{self.name}-previous"

    @property
    def failed(self) -> str:
        """What a failed one is called, kept to be looked at."""
        return f"{self.name}-failed"

    def right_one_runs(self) -> bool:
        """Whether the new release already runs under the instance's name."""
        found = containers.look(self.name)
        return bool(found and found.running and found.release == self.new.id)

    def running(self) -> Container | None:
        """The container that serves now, whatever its release."""
        found = [one for one in self._all() if one.running and one.name != self.failed]
        return found[0] if found else None

    def prepare(self) -> None:
        """
        Make the new container. What runs goes on running, under another name.

        Where the new release runs itself, to be made anew, there is nothing to do before the stop.
        """
        current = containers.look(self.name)
        if self.old is None or self.right_one_runs():
            return
        if current and current.release != self.new.id:
            containers.rename(current, self.aside)
        self._create_new()

    def withdraw(self) -> None:
        """Undo `prepare`: names and files are as before."""
        new = containers.look(self.name)
        if new and new.release == self.new.id and new.status == "created":
            containers.remove(new)
        if aside := containers.look(self.aside):
            containers.rename(aside, self.name)
            if self.old and aside.release == self.old.id:
                self._put_files(self.old)

    def prepared(self) -> Container | None:
        """The new container, made and never started."""
        found = containers.look(self.name)
        fits = found and found.release == self.new.id and found.status == "created"
        return found if fits else None

    def leaves_old(self) -> bool:
        """Whether it is the old release whose container is left."""
        return bool(self.old and any(one.release == self.old.id for one in self._all()))

    def stop_others(self) -> set[int]:
        """
        Stop whatever is not the new container; the processes that were stopped.

        The one that serves is the last: from its stop on people wait.
        """
        prepared = self.prepared()
        others = [one for one in self._all() if not prepared or one.id != prepared.id]
        held: set[int] = set()
        for one in sorted(others, key=lambda one: one.running):
            held |= containers.processes(one) if one.running else set()
            containers.stop(one, self.new.stop_timeout)
        return held

    def start_new(self, prepared: Container | None) -> None:
        """
        Start the new container, making it where there is none.

        :param prepared: what `prepared` found before the stop: people wait, nothing is asked anew
        :raises GateFailed: when it does not start, the usual way in which a GPU container fails
        """
        if (prepared and self._starts(prepared)) or self.right_one_runs():
            return
        if not self.prepared():
            self._take_the_name()
            self._create_new()
        try:
            self._start(self.new)
        except DockerError as error:
            raise GateFailed("starts", str(error)) from error

    def put_new_aside(self) -> set[int]:
        """Stop the new container and keep it to be looked at; the processes that were stopped."""
        held: set[int] = set()
        for one in self._all():
            if one.release == self.new.id and one.name != self.failed:
                held |= containers.processes(one) if one.running else set()
                containers.stop(one, self.new.stop_timeout)
                containers.rename(one, self.failed)
        return held

    def start_old(self) -> None:
        """Start the old container; made anew from its files if somebody removed it."""
        old = self._old()
        self._put_files(old)
        found = next((one for one in self._all() if one.release == old.id), None)
        if found:
            containers.rename(found, self.name)
        else:
            containers.create(old)
        try:
            self._start(old)
        except DockerError:
            # Somebody may have pruned what it needs, its network for one: once more, made anew.
            containers.create(old)
            self._start(old)

    def restart_old(self) -> None:
        """Once more from the beginning."""
        old = self._old()
        if found := containers.look(self.name):
            containers.stop(found, old.stop_timeout)
        self._start(old)

    def clear(self, failed: bool = True) -> None:
        """
        What serves is proven: its container alone stays.

        :param failed: whether the one that failed goes too
        """
        for one in self._all():
            if one.name != self.name and (failed or one.name != self.failed):
                containers.remove(one)

    def _starts(self, prepared: Container) -> bool:
        """Start it; whether it was still there."""
        try:
            containers.start(prepared)
        except DockerError as error:
            if containers.look(prepared.id):
                raise GateFailed("starts", str(error)) from error
            return False
        return True

    def _take_the_name(self) -> None:
        """Free the instance's name: of an old release by renaming, of anything else by removal."""
        found = containers.look(self.name)
        if found is None:
            return
        if self.old and found.release == self.old.id:
            containers.rename(found, self.aside)
        else:
            containers.remove(found)

    def _create_new(self) -> None:
        """Of an earlier try nothing may be left: compose would take it for the same container."""
        for one in self._all():
            if one.release == self.new.id:
                containers.remove(one)
        self._put_files(self.new)
        containers.create(self.new)

    def _start(self, release: StoredRelease) -> None:
        found = containers.look(release.container)
        if found is None:
            raise FileNotFoundError(f"there is no container {release.container} to start")
        containers.start(found)

    def _old(self) -> StoredRelease:
        if self.old is None:
            raise FileNotFoundError("there is no release to go back to")
        return self.old

    def _put_files(self, release: StoredRelease) -> None:
        for file in release.files:
            file.put()

    def _all(self) -> list[Container]:
        return containers.of(self.new.instance)
