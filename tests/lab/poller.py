"""Ask a WebUI ten times a second or more whether it answers, and say for how long it did not."""

from __future__ import annotations

import base64
import http.client
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

INTERVAL = 0.1
TIMEOUT = 1.0
LIMIT = 1800.0
"""Seconds after which it ends by itself."""
AT_ONCE = 16
"""Probes under way, at the usual interval: enough for all that hang until TIMEOUT."""


@dataclass(frozen=True)
class Probe:
    """One question: when it was asked and settled (monotonic), the HTTP status or the error."""

    asked: float
    settled: float
    status: int = 0
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether the WebUI answered with 200."""
        return self.status == 200


@dataclass(frozen=True)
class Gap:
    """A time in which nothing answered, from the last answer to the next (monotonic)."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.begin


class Poller:
    """`with Poller(url, "user:password") as poller: ...`; each probe has its own connection.

    A probe that hangs does not delay the next. Ends with the block, at the latest after LIMIT.
    """

    def __init__(
        self,
        url: str,
        login: str = "",
        path: str = "/internal/ping",
        interval: float = INTERVAL,
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._path = path
        self._interval = interval
        pair = base64.b64encode(login.encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"} if login else {}
        self._probes: list[Probe] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="poller", daemon=True)
        self.begin = self.end = 0.0

    def __enter__(self) -> Poller:
        self.begin = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def probes(self) -> list[Probe]:
        """All probes that are settled, in the order in which they were asked."""
        return sorted(self._probes, key=lambda probe: probe.asked)

    def gaps(self) -> list[Gap]:
        """The times in which probes were asked and none was answered."""
        return gaps(self.probes, self.begin, self.end or time.monotonic())

    def longest_gap(self) -> float:
        """Seconds of the longest gap, 0 when every probe was answered."""
        return max((gap.seconds for gap in self.gaps()), default=0.0)

    def longest_pause(self) -> float:
        """Seconds of the longest time in which the poller itself asked nothing."""
        asked = [probe.asked for probe in self.probes]
        return max((b - a for a, b in itertools.pairwise(asked)), default=0.0)

    def _poll(self) -> None:
        with ThreadPoolExecutor(round(AT_ONCE * INTERVAL / self._interval)) as pool:
            due = self.begin
            while not self._over.wait(max(0.0, due - time.monotonic())):
                if due - self.begin > LIMIT:
                    break
                pool.submit(self._probe)
                due = max(due + self._interval, time.monotonic())
        self.end = time.monotonic()

    def _probe(self) -> None:
        asked = time.monotonic()
        status, error = 0, ""
        try:
            status = self._ask(asked + TIMEOUT)
        except (OSError, http.client.HTTPException) as problem:
            error = type(problem).__name__
        self._probes.append(Probe(asked, time.monotonic(), status, error))

    def _ask(self, deadline: float) -> int:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT)
        try:
            connection.connect()
            connection.sock.settimeout(max(0.01, deadline - time.monotonic()))
            connection.request("GET", self._path, headers=self._headers)
            return connection.getresponse().status
        finally:
            connection.close()


def gaps(probes: Sequence[Probe], begin: float, end: float) -> list[Gap]:
    """Stretches between answers (or begin and end) in which a probe was asked in vain.

    The hour of a question counts for one that failed, that of the answer for one that did not.
    """
    found: list[Gap] = []
    answers = sorted(probe.settled for probe in probes if probe.answered)
    vain = sorted(probe.asked for probe in probes if not probe.answered)
    edges = [begin, *answers, end]
    for before, after in itertools.pairwise(edges):
        if any(before <= asked < after for asked in vain):
            found.append(Gap(before, after))
    return found
