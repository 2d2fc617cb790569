"""The gates: a release is proven when all of them passed, in order, and it stayed well."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

from gpuhost.hostside import containers, docker, inside
from gpuhost.hostside.containers import Container
from gpuhost.hostside.records import StoredRelease

HEALTH_LIMIT = 60.0
"""Seconds: several intervals of the health check in the compose file."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
TRIES = 8
"""How often gates are begun anew because the engine went away from under them."""
Say = Callable[[str], None]


class GateFailed(Exception):
    """A gate that a release did not pass."""

    def __init__(self, gate: str, reason: str) -> None:
        self.gate, self.reason = gate, " ".join(reason.split())
        super().__init__(f"gate {gate} failed: {self.reason}")


def prove(
    release: StoredRelease, say: Say, answered: Callable[[], None], calm: int = 0
) -> dict[str, Any]:
    """
    Run a release's gates; their figures.

    :param answered: called when the WebUI answers for the first time
    :param calm: how often the engine restarted the container before, in its earlier life
    :raises GateFailed: with the first gate that did not pass
    """
    figures = _within(release, say, answered, calm)
    say("gate published")
    if not _patiently(lambda: answers(*release.published), 15):
        address, port = release.published
        raise GateFailed("published", f"no answer at {address}:{port} on the host")
    say("gate healthy")
    if not _patiently(lambda: _steady(release, calm).health in ("healthy", ""), HEALTH_LIMIT):
        reason = f"the engine's health check did not pass in {HEALTH_LIMIT:.0f} s"
        raise GateFailed("healthy", reason)
    return figures


def bake(release: StoredRelease, seconds: int, say: Say) -> None:
    """:raises GateFailed: when the container does not stay healthy so long"""
    first, deadline, missed = _living(release, "bake"), time.monotonic() + seconds, 0
    while (left := deadline - time.monotonic()) > 0:
        say(f"gate bake, {left:.0f} s to go")
        time.sleep(min(1.0, left))
        found = _living(release, "bake")
        if found.health == "unhealthy":
            raise GateFailed("bake", "its health check fails")
        if found.restarts > first.restarts:
            raise GateFailed("bake", f"it does not stay up: {found.end}")
        missed = 0 if answers(*release.published) else missed + 1
        if missed >= 3 and docker.alive():
            raise GateFailed("bake", f"it no longer answers at port {release.published[1]}")


def benchmark(figures: dict[str, Any], before: dict[str, Any], slowdown: float) -> None:
    """:raises GateFailed: when a picture takes too much longer than the proven release's"""
    now, then = figures.get("seconds_per_picture"), before.get("seconds_per_picture")
    if slowdown and now and then and now > then * (1 + slowdown):
        raise GateFailed(
            "benchmark",
            f"{now:.2f} s a picture, {then:.2f} s before: more than {slowdown:.0%} slower",
        )


def answers(address: str, port: int, timeout: float = 5.0) -> bool:
    """Whether the WebUI answers at its address on the host."""
    connection = http.client.HTTPConnection(ANYWHERE.get(address, address), port, timeout=timeout)
    try:
        connection.request("GET", "/internal/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def restarts(release: StoredRelease) -> int:
    """How often the engine restarted its container because it ended by itself."""
    found = containers.look(release.container)
    return found.restarts if found else 0


def _within(
    release: StoredRelease, say: Say, answered: Callable[[], None], calm: int
) -> dict[str, Any]:
    def hear(line: dict[str, Any]) -> None:
        if line.get("gate") == "answers" and line.get("state") == "passed":
            answered()
        say(f"gate {line['gate']} {line['state']}" if "gate" in line else "gates passed")

    limit = sum(release.gates.values()) + 60
    said = ""
    for _ in range(TRIES):
        answer = inside.ask(release.container, release.gates, hear, limit)
        if answer.passed:
            return answer.figures
        if answer.failed:
            raise GateFailed(answer.failed, answer.reason)
        said = answer.said
        docker.wait()
        _steady(release, calm)
        time.sleep(1)
    raise GateFailed("starts", f"the gates cannot run in the container: {said}")


def _steady(release: StoredRelease, calm: int) -> Container:
    """The container, as long as it was not restarted."""
    found = _living(release, "starts")
    if found.restarts > calm:
        raise GateFailed("starts", f"the container does not stay up: {found.end}")
    return found


def _living(release: StoredRelease, gate: str) -> Container:
    """The container, as long as it runs."""
    found = containers.look(release.container)
    if found is None:
        raise GateFailed(gate, "the container is gone")
    if not found.running:
        raise GateFailed(gate, f"the container does not stay up: {found.end}")
    return found


def _patiently(passes: Callable[[], bool], limit: float) -> bool:
    deadline = time.monotonic() + limit
    while not passes():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True
