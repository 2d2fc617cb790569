"""Draining: a WebUI that is making somebody's picture is not stopped."""

from __future__ import annotations

from collections.abc import Callable

from gpuhost.hostside import inside
from gpuhost.hostside.containers import Container

Say = Callable[[str], None]


class Busy(Exception):
    """It has a job, and will have it for longer than one may wait."""


def drain(container: Container | None, timeout: int, say: Say) -> None:
    """
    Wait until the WebUI has no job; one that does not answer has none that could be waited for.

    :raises Busy: when it has one after `timeout` seconds
    """
    if container is None or not container.running:
        return

    def hear(line: dict[str, object]) -> None:
        if busy := line.get("busy"):
            say(f"waiting: {busy}")

    answer = inside.ask(container.id, {"idle": timeout}, hear, timeout + 60)
    if answer.reason.startswith("busy"):
        raise Busy(answer.reason)
