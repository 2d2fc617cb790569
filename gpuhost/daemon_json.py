"""Merge settings into Docker's daemon.json without losing a key, and tell what that takes.

Never `nvidia-ctk runtime configure`: with ``--cdi.enabled`` it drops every other feature, it fails
on an empty file and does not write atomically.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Final, NoReturn

from . import strict_json
from .daemon_problems import problems
from .strict_json import short

__all__ = [
    "ABSENT",
    "Change",
    "DaemonJsonError",
    "Effect",
    "Merged",
    "effect",
    "merge",
    "parse",
    "problems",
]


class DaemonJsonError(ValueError):
    """Why a daemon.json cannot be merged into; one line, and the file stays as it is."""

    def __init__(self, message: str) -> None:
        super().__init__(f"daemon.json: {message}")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent.ABSENT
"""A key that is not there. As a wanted value it removes the key; None is JSON's null."""


class Effect(IntEnum):
    """The least that makes a running engine follow a change, in rising order."""

    NOTHING = 0
    RELOAD = 1
    RESTART = 2


@dataclass(frozen=True)
class Change:
    """One value that differs; either side may be `ABSENT`."""

    path: tuple[str, ...]
    now: Any
    wanted: Any


@dataclass(frozen=True)
class Merged:
    """The file as it should be, and what differs; no changes: `text` is the file as it was."""

    text: str
    changes: tuple[Change, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The merged object."""
        return parse(self.text.encode())


UNIONS = frozenset({("registry-mirrors",), ("insecure-registries",)})
"""Lists we add to: our entries first, the others after them. Any other list is replaced."""

RELOADED = frozenset(
    {
        "debug",
        "default-cgroupns-mode",
        "default-ipc-mode",
        "default-runtime",
        "default-shm-size",
        "default-stop-timeout",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "network-diagnostic-port",
        "nri-opts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)
"""Keys the engine takes over on SIGHUP when they are set or changed.

Source: moby, ``daemon/reload.go`` and ``daemon/reload_unix.go``. A reload adds and replaces; what
was deleted stays until a restart. It also renews the ``features`` map, but what ``cdi`` and
``containerd-snapshotter`` switch on is built when the engine starts.
"""

RELOADED_FEATURES = frozenset({"buildkit"})


def merge(current: bytes | None, wanted: Mapping[str, Any]) -> Merged:
    """Put the wanted values into a daemon.json; None or an empty file is an empty object.

    Objects are merged key by key, `UNIONS` are added to, everything else is replaced; no other
    key, value or order changes. Raises `DaemonJsonError` where that cannot be done safely.
    """
    now = parse(current or b"")
    changes: list[Change] = []
    merged = _object(now, wanted, (), changes)
    if not changes:
        return Merged((current or b"").decode(), ())
    try:
        return Merged(_text(merged), tuple(changes))
    except RecursionError:
        raise DaemonJsonError("nested too deeply to be a configuration") from None


def parse(data: bytes) -> dict[str, Any]:
    """Read a daemon.json strictly; `DaemonJsonError` for what the engine might read otherwise."""
    try:
        found = strict_json.parse(data) if data.strip(b" \t\r\n") else {}
    except strict_json.JsonError as error:
        raise DaemonJsonError(str(error)) from None
    if not isinstance(found, dict):
        raise DaemonJsonError(f"should be an object at the top, got {short(found)}; write {{...}}")
    return found


def effect(changes: Iterable[Change]) -> Effect:
    """Tell what the engine needs to follow these changes: nothing, a reload or a restart."""
    return max((_effect(change) for change in changes), default=Effect.NOTHING)


def _effect(change: Change) -> Effect:
    if change.path[0] == "features":
        reloaded = len(change.path) > 1 and change.path[1] in RELOADED_FEATURES
    else:
        reloaded = change.path[0] in RELOADED and change.wanted is not ABSENT
    return Effect.RELOAD if reloaded else Effect.RESTART


def _object(
    now: dict[str, Any], wanted: Mapping[str, Any], path: tuple[str, ...], changes: list[Change]
) -> dict[str, Any]:
    merged = dict(now)
    for key, value in wanted.items():
        result = _value(now.get(key, ABSENT), value, (*path, key), changes)
        if result is ABSENT:
            merged.pop(key, None)
        else:
            merged[key] = result
    return merged


def _value(now: Any, wanted: Any, path: tuple[str, ...], changes: list[Change]) -> Any:
    if isinstance(wanted, Mapping) and wanted:
        if now is not ABSENT and not isinstance(now, dict):
            _wrong_type(path, "an object", now)
        merged = _object({} if now is ABSENT else now, wanted, path, changes)
        return ABSENT if now is ABSENT and not merged else merged
    if isinstance(wanted, Mapping) and isinstance(now, dict):
        return now
    if path in UNIONS and isinstance(wanted, (list, tuple)):
        wanted = _union(now, list(wanted), path)
    if _same(now, wanted):
        return now
    changes.append(Change(path, now, wanted))
    return wanted


def _union(now: Any, wanted: list[Any], path: tuple[str, ...]) -> list[Any]:
    if now is ABSENT:
        return wanted
    if not isinstance(now, list):
        _wrong_type(path, "a list", now)
    ours = {_address(entry) for entry in wanted}
    spelled = {_address(entry): entry for entry in reversed(now)}
    kept = [entry for entry in now if _address(entry) not in ours]
    return [spelled.get(_address(entry), entry) for entry in wanted] + kept


def _address(entry: Any) -> str:
    """The engine reads a mirror with and without its last slash as one."""
    return entry.rstrip("/") if isinstance(entry, str) else json.dumps(entry, sort_keys=True)


def _same(now: Any, wanted: Any) -> bool:
    """Compare as JSON, where ``true`` is not ``1`` and ``1`` is not ``1.0``."""
    if now is ABSENT or wanted is ABSENT:
        return now is wanted
    return json.dumps(now, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _text(merged: dict[str, Any]) -> str:
    text = json.dumps(merged, indent=4, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(merged, indent=4, allow_nan=False)
    return text + "\n"


def _wrong_type(path: tuple[str, ...], kind: str, now: Any) -> NoReturn:
    raise DaemonJsonError(f"{'.'.join(path)}: should be {kind}, got {short(now)}")
