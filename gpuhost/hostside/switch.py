"""The switch: an instance moves to a release and is proven, or what was there comes back.

Every state is written down before its work begins, so that whoever takes over after a crash knows
what may have happened. Until `stopped` is set nothing was touched; from then on an error restores
the old release.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gpuhost.hostside import (
    checking,
    containers,
    docker,
    files,
    gating,
    journal,
    memory,
    pulling,
    webui_state,
)
from gpuhost.hostside.docker import DockerError
from gpuhost.hostside.draining import Busy, drain
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Proven, Quarantined, Records, StoredRelease
from gpuhost.hostside.request import Request
from gpuhost.hostside.swap import Swap

ERRORS = (checking.Unfit, pulling.PullFailed, gating.GateFailed)
OFTEN = 3
"""How often a release may be interrupted before it is to blame: it may take the host down."""


class Switch:
    """One switch of one instance, begun or taken up again."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.records = Records(places)
        found = Journal.from_json(files.read_json(places.journal, None))
        if found is None:
            raise FileNotFoundError(f"{places.journal}: there is no journal of a switch")
        self.journal = found
        self.request = Request.from_json(files.read_json(places.request, None))
        new = self.records.release(found.to)
        if new is None:
            raise FileNotFoundError(f"{places.release(found.to)}: release {found.to} is not stored")
        self.new: StoredRelease = new
        self.old = self.records.release(found.back) if found.back else None
        self.swap = Swap(self.new, self.old)
        self._entered = time.monotonic()
        self._said = 0.0

    def run(self) -> int:
        """Work until the end; the exit code that tells it."""
        if not self.journal.unfinished:
            return journal.EXIT_CODES[self.journal.state]
        self._take_up()
        work: dict[str, Callable[[], str]] = {
            journal.PULLING: self._pull,
            journal.CHECKING: self._check,
            journal.DRAINING: self._drain,
            journal.SWITCHING: self._switch,
            journal.GATING: self._gate,
            journal.RESTORING: self._restore,
        }
        while self.journal.unfinished:
            self._enter(self._guarded(work[self.journal.state]))
        print(self.journal.sentence(), flush=True)
        return journal.EXIT_CODES[self.journal.state]

    def _guarded(self, work: Callable[[], str]) -> str:
        """The state that follows; an error leads back, or away, never on."""
        try:
            return work()
        except Busy as error:
            return self._give_up(journal.SKIPPED, "drain", str(error))
        except (*ERRORS, DockerError, OSError) as error:
            return self._wrong(error)

    def _wrong(self, error: Exception) -> str:
        gate = getattr(error, "gate", self.journal.state)
        reason = getattr(error, "reason", str(error))
        if self.journal.state == journal.RESTORING:
            self.journal.notes.append(f"release {self.journal.back} did not come back: {error}")
            return journal.STRANDED
        if self.journal.stopped:
            self.journal.gate, self.journal.reason = gate, reason
            return journal.RESTORING if self.old else journal.FAILED
        if getattr(error, "images_fault", False):
            gate = journal.PROOF
            self._quarantine(gate, reason)
        return self._give_up(journal.ABANDONED, gate, reason)

    def _give_up(self, state: str, gate: str, reason: str) -> str:
        """Leave before anything was stopped."""
        self.swap.withdraw()
        self.journal.gate, self.journal.reason = gate, reason
        return state

    def _pull(self) -> str:
        def progress(count: int, line: str) -> None:
            self.journal.bytes = max(count, self.journal.bytes)
            self._say(line)

        missing = not pulling.is_here(self.new)
        if missing:
            self.journal.total = pulling.missing_bytes(self.new, self.request)
        pulling.pull(self.new, self.request, progress)
        if missing:
            self._say("writing the image to the disk: a power cut then spares it")
            files.settle(docker.data_root())
        return journal.CHECKING

    def _check(self) -> str:
        self._say("is the way back there, does the image fit?")
        checking.check(self.new, self.old, self.request)
        if self.swap.right_one_runs() and not self.request.recreate:
            return journal.GATING
        return journal.DRAINING

    def _drain(self) -> str:
        began = time.monotonic()
        for _ in range(100):
            left = max(0, self.request.drain_timeout - round(time.monotonic() - began))
            self._idle(left)
            self.swap.prepare()
            try:
                # Making the container took a moment, in which somebody may have begun a picture.
                self._idle(0)
            except Busy:
                self.swap.withdraw()
                if time.monotonic() - began < self.request.drain_timeout:
                    continue
                raise
            return journal.SWITCHING
        raise Busy("busy: again and again")

    def _idle(self, seconds: int) -> None:
        try:
            drain(self.swap.running(), seconds, self._say)
        except Busy as error:
            if self.request.drain_on_timeout != "force":
                raise
            note = f"stopped all the same: {error}"
            if note not in self.journal.notes:
                self.journal.notes.append(note)

    def _switch(self) -> str:
        if not self.journal.stopped:
            self.journal.stopped = True
            self.journal.stopped_at = journal.uptime()
            self._write()
        self._say("stopping the old release, starting the new one")
        if self.old and self.swap.leaves_old() and not self.journal.saved:
            webui_state.save(self.old.storage, self.places.state(self.old.id))
            self.journal.saved = True
            self._write()
        prepared = self.swap.prepared()
        held = self.swap.stop_others()
        self._wait_for_memory(held)
        if self.request.kind == "rollback" and not self.swap.right_one_runs():
            self._bring_settings_back(self.new)
        self.swap.start_new(prepared)
        return journal.GATING

    def _gate(self) -> str:
        self.journal.stopped = True
        new, before = self.new, self.records.figures([self.journal.back, self.journal.to])
        calm = 0 if self.journal.stopped_at else gating.restarts(new)
        figures = gating.prove(new, self._say, self.journal.answered, calm)
        gating.benchmark(figures, before, new.slowdown)
        gating.bake(new, new.bake, self._say)
        self.journal.figures = figures
        at = journal.now()
        self.records.prove(Proven(new.id, new.image, at, figures))
        self.swap.clear()
        return journal.COMMITTED

    def _restore(self) -> str:
        old, gate = self.old, self.journal.gate
        if old is None:
            return journal.FAILED
        self._say(f"release {self.new.id} failed, bringing {old.id} back")
        self.journal.downtime = 0
        self.journal.log = self.journal.log or containers.last_words(self.new)
        self._quarantine(gate, self.journal.reason)
        webui_state.save(self.new.storage, self.places.state(self.new.id))
        held = self.swap.put_new_aside()
        self._wait_for_memory(held)
        self._bring_settings_back(old)
        self.swap.start_old()
        try:
            gating.prove(old, self._say, self.journal.answered)
        except gating.GateFailed as error:
            self._say(f"{error}; once more")
            self.swap.restart_old()
            gating.prove(old, self._say, self.journal.answered)
        self.swap.clear(failed=False)
        return journal.ROLLED_BACK

    def _bring_settings_back(self, release: StoredRelease) -> None:
        copies = self.places.state(release.id)
        self.journal.notes += webui_state.bring_back(copies, release.storage)

    def _quarantine(self, gate: str, reason: str) -> None:
        entry = Quarantined(self.new.id, self.new.image, gate, reason, journal.now())
        self.records.quarantine(entry)

    def _wait_for_memory(self, held: set[int]) -> None:
        if left := memory.wait(held, self._say):
            self.journal.notes.append(f"processes {sorted(left)} still hold GPU memory")

    def _take_up(self) -> None:
        entry = self.journal
        entry.resumed += 1
        if entry.resumed > OFTEN and entry.stopped and entry.state != journal.RESTORING:
            entry.gate = "survives"
            entry.reason = f"the switch was interrupted {entry.resumed} times at {entry.state}"
            entry.state = journal.RESTORING if self.old else journal.FAILED
        elif entry.state == journal.GATING and not self.swap.right_one_runs():
            entry.state = journal.SWITCHING
        elif entry.state == journal.SWITCHING and not entry.stopped:
            entry.state = journal.DRAINING
        self._write()

    def _enter(self, state: str) -> None:
        spent = time.monotonic() - self._entered
        self.journal.spend(spent)
        self._entered = time.monotonic()
        if state == journal.FAILED:
            self.journal.log = self.journal.log or containers.last_words(self.new)
        self.journal.state, self.journal.line = state, ""
        if state in journal.FINAL:
            self.journal.ended = journal.now()
            self.records.remember(self.journal.to_json())
        self._write()

    def _say(self, line: str) -> None:
        if line != self.journal.line or time.monotonic() - self._said > 1:
            self.journal.line, self._said = line, time.monotonic()
            self._write()

    def _write(self) -> None:
        files.write_json(self.places.journal, self.journal.to_json())
