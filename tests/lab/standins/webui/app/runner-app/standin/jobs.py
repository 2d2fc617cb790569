"""One job at a time: a lock, the tasks that wait for it, and what progress says meanwhile."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from standin import faults


@dataclass
class State:
    """The `state` part of /sdapi/v1/progress."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class Jobs:
    """The queue of the process."""

    def __init__(self) -> None:
        self.state = State()
        self.waiting: list[str] = []
        self._lock = threading.Lock()
        self._begun = 0.0

    @contextmanager
    def turn(self, kind: str, count: int) -> Iterator[State]:
        """Wait for this job's turn; within the block it is the running one."""
        task = f"task({kind}-{secrets.token_hex(4)[:7].upper()})"
        self.waiting.append(task)
        with self._lock:
            self.waiting.remove(task)
            stamp = time.strftime("%Y%m%d%H%M%S")
            self.state = State(job=f"scripts_{kind}", job_count=count, job_timestamp=stamp)
            self._begun = time.monotonic()
            try:
                yield self.state
            finally:
                self.state.job, self.state.job_count = "", 0

    def sample(self, batch: int, batches: int, steps: int) -> None:
        """Run the steps of one batch; ends early when interrupted."""
        state = self.state
        state.job_no, state.sampling_step, state.sampling_steps = batch, 0, steps
        if batches > 1:
            state.job = f"Batch {batch + 1} out of {batches}"
        pause = float(faults.now().get("step_seconds", 0.02))
        for step in range(steps):
            if state.interrupted:
                return
            time.sleep(pause)
            state.sampling_step = step + 1 if step + 1 < steps else step

    def occupy(self, seconds: float) -> None:
        """Be busy for so long, as with somebody else's picture."""
        with self.turn("txt2img", 1) as state:
            state.sampling_steps = max(1, round(seconds))
            begun = time.monotonic()
            while (spent := time.monotonic() - begun) < seconds and not state.interrupted:
                state.sampling_step = min(int(spent), state.sampling_steps - 1)
                time.sleep(0.05)

    def interrupt(self) -> None:
        """End the running job after its current step."""
        self.state.interrupted = True

    def progress(self) -> dict[str, Any]:
        """The answer of /sdapi/v1/progress."""
        state = self.state
        done, left = 0.0, 0.0
        if state.job_count:
            within = state.sampling_step / max(1, state.sampling_steps)
            done = min(1.0, 0.01 + (state.job_no + within) / state.job_count)
            left = (time.monotonic() - self._begun) * (1 - done) / done
        return {
            "progress": done,
            "eta_relative": left,
            "state": asdict(state),
            "current_image": None,
            "textinfo": None,
        }


def follow_busy(jobs: Jobs) -> None:
    """Be busy each time that the fault `busy` takes another value; never returns."""
    last = 0.0
    while True:
        wanted = float(faults.now().get("busy", 0))
        if wanted != last and wanted > 0:
            threading.Thread(target=jobs.occupy, args=(wanted,), daemon=True).start()
        last = wanted
        time.sleep(0.1)
