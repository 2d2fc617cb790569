"""Programs that run inside the WebUI's container, and their answers."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Hear = Callable[[dict[str, Any]], None]


@dataclass
class Answer:
    """What the gates program said; `failed` is the gate that did not pass."""

    passed: bool = False
    failed: str = ""
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    """The last line that is no answer."""


def program() -> bytes:
    """The gates, as they are fed to a container's Python."""
    found = pkgutil.get_data("gpuhost", "inside/gates.py")
    if found is None:
        raise FileNotFoundError("gpuhost/inside/gates.py")
    return found


def ask(container: str, gates: dict[str, int], hear: Hear, limit: float) -> Answer:
    """Run gates in a container, hearing each line; bounded by `limit` seconds."""
    words = [f"{name}={seconds}" for name, seconds in gates.items()]
    process = subprocess.Popen(
        ["docker", "exec", "-i", container, "python3", "-u", "-", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    clock = threading.Timer(limit, process.kill)
    clock.start()
    answer = Answer()
    try:
        _feed(process)
        for line in process.stdout or ():
            _take(answer, line, hear)
        answer.passed = process.wait() == 0 and answer.passed
    finally:
        clock.cancel()
        process.kill()
        process.wait()
    return answer


def _feed(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        try:
            process.stdin.write(program())
            process.stdin.close()
        except BrokenPipeError:
            return


def _take(answer: Answer, line: bytes, hear: Hear) -> None:
    text = line.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        answer.said = text[:400] or answer.said
        return
    if found.get("state") == "failed":
        answer.failed, answer.reason = str(found.get("gate", "")), str(found.get("reason", ""))
    if "figures" in found:
        answer.figures, answer.passed = dict(found["figures"]), bool(found.get("proven"))
    hear(found)
