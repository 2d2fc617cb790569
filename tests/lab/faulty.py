"""The registry that misbehaves, seen from a test: order faults, ask what it served."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.engine import connect
from tests.lab.host import pack

NAME = "faulty.gpuhost.test"
ADDRESS = "127.0.77.4"
FOLDER = "/etc/gpuhost-lab"
MODES = ("ok", "manifest-404", "429", "500", "truncate", "corrupt", "cut", "slow")


@dataclass(frozen=True)
class Served:
    """One request that was answered: a blob's or manifest's path, and bytes of the body."""

    method: str
    path: str
    range: str
    status: int
    bytes: int

    @property
    def is_blob(self) -> bool:
        """Whether it was for a layer or a config."""
        return "/blobs/" in self.path


class Faulty:
    """`lab.faulty`: the same images as the real registry, under another name."""

    def __init__(self, record: Mapping[str, str]) -> None:
        self.name = record["name"]

    def reference(self, tag: str, repository: str = "sd-webui") -> str:
        """What to write instead of the real registry's reference."""
        return f"{self.name}/{repository}:{tag}"

    def set(
        self,
        mode: str,
        times: int | None = None,
        retry_after: int | None = None,
        rate: float = 1_000_000,
        only: str = "",
        larger_than: int = 0,
    ) -> None:
        """Misbehave from the next request on, `times` times or until told otherwise.

        manifest-404; 429 (with Retry-After seconds if given) and 500 for manifests and blobs or
        `only` one of them; truncate: nothing past half of a blob ever comes; cut: the connection
        ends at half of what was asked (`times` 1 if not given), a Range request goes on from
        there; corrupt: wrong bytes; slow: blobs at `rate` bytes a second, all together.
        `larger_than` spares smaller blobs, such as configs, from the last four.
        """
        if mode not in MODES:
            raise ValueError(f"mode: unknown, got {mode!r}, write one of {', '.join(MODES)}")
        if only not in ("", "manifests", "blobs"):
            raise ValueError(f"only: should be manifests or blobs, got {only!r}")
        if mode == "cut" and times is None:
            times = 1
        orders = {
            "serial": secrets.token_hex(4), "mode": mode, "times": times, "only": only,
            "retry_after": retry_after, "rate": rate, "larger_than": larger_than,
        }  # fmt: skip
        self._put("control.json", json.dumps(orders))

    def reset(self) -> None:
        """Behave, and forget what was served."""
        self.set("ok")
        self._put("served.jsonl", "")

    def served(self) -> list[Served]:
        """The answers that have ended, in order."""
        return [
            Served(*(line[key] for key in ("method", "path", "range", "status", "bytes")))
            for line in self._lines()
            if "status" in line
        ]

    def bytes_served(self, blobs_only: bool = True) -> int:
        """Bytes of all bodies that were sent, also of those that were cut off."""
        return sum(one.bytes for one in self.served() if one.is_blob or not blobs_only)

    def under_way(self) -> int:
        """How many blobs are being sent right now."""
        lines = [line for line in self._lines() if "/blobs/" in line["path"]]
        return len(lines) - 2 * sum("status" in line for line in lines)

    def _lines(self) -> list[dict[str, Any]]:
        output = connect().containers.get(NAME).exec_run(["cat", f"{FOLDER}/served.jsonl"]).output
        text = output.decode() if isinstance(output, bytes) else ""
        return [json.loads(line) for line in text.splitlines()]

    def _put(self, name: str, content: str) -> None:
        archive = pack({f"{FOLDER}/{name}": (content, 0o644)})
        connect().containers.get(NAME).put_archive("/", archive)
