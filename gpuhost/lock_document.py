"""A lock as plain mappings, lists and texts, and back with every word checked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from gpuhost.lock import DIGEST, Lock, LockedImage, LockError, Quarantined, Replaced
from gpuhost.strict_json import short

VERSION = 2
READ = (1, 2)
"""Version 1 had neither history nor quarantine nor layers."""
PARTS = ("version", "images", "history", "quarantine")
ENTRY = (
    "digest", "platform", "created", "size", "layers", "labels", "env",
    "resolved_from", "resolved_at", "resolved_by",
)  # fmt: skip
REPLACED = ("replaced_at", "replaced_by")
QUARANTINED = tuple(one.name for one in fields(Quarantined))

_LAYER = re.compile("([0-9a-f]{1,12}):([0-9]{1,18})")
_NAMES: Mapping[type, str] = {dict: "a mapping", list: "a list", str: "text", int: "a number"}
_T = TypeVar("_T")


class VersionError(LockError):
    """A lock of another version."""


class Line(list[str]):
    """A list that is written on one line."""


def document(lock: Lock) -> dict[str, Any]:
    """What is written of a lock: no problems, nothing empty, always in the same order."""
    parts = {
        "version": VERSION,
        "images": {name: _entry(image) for name, image in sorted(lock.images.items())},
        "history": {
            name: [_replaced(old) for old in replaced]
            for name, replaced in sorted(lock.history.items())
            if replaced
        },
        "quarantine": [{name: getattr(one, name) for name in QUARANTINED}
                       for one in lock.quarantine],
    }  # fmt: skip
    return {name: part for name, part in parts.items() if part or name == "images"}


def _entry(image: LockedImage) -> dict[str, Any]:
    values = {
        **vars(image),
        "layers": Line(f"{diff_id}:{size}" for diff_id, size in image.layers),
        "labels": dict(sorted(image.labels.items())),
        "env": dict(sorted(image.env.items())),
    }
    return {name: values[name] for name in ENTRY if values[name] not in ("", {}, [])}


def _replaced(old: Replaced) -> dict[str, Any]:
    return {**_entry(old.image), **{name: getattr(old, name) for name in REPLACED}}


def lock(found: Any) -> Lock:
    """The lock that a document holds.

    :raises LockError: with what is wrong, and where in the document
    """
    parts = _checked(found, dict, "a lock of images")
    if parts.get("version") not in READ:
        raise VersionError(f"version should be 1 or 2, got {short(parts.get('version'))}")
    for name in parts:
        _known(name, PARTS, "a lock of images")
    images = [
        _image(name, entry, f"images: {name}")
        for name, entry in _checked(parts.get("images"), dict, "images").items()
    ]
    history = {
        name: tuple(
            _was(name, entry, f"history: {name}: entry {number}")
            for number, entry in enumerate(_checked(entries, list, f"history: {name}"), 1)
        )
        for name, entries in _checked(parts.get("history", {}), dict, "history").items()
    }
    quarantine = tuple(
        _quarantined(entry, f"quarantine: entry {number}")
        for number, entry in enumerate(_checked(parts.get("quarantine", []), list, "quarantine"), 1)
    )
    return Lock({image.key: image for image in images}, {}, history, quarantine)


def _image(name: Any, entry: Any, where: str, more: tuple[str, ...] = ()) -> LockedImage:
    values: dict[str, Any] = {}
    for key, value in _checked(entry, dict, where).items():
        _known(key, (*ENTRY, *more), where)
        values[key] = _read(key, value, f"{where}: {key}")
    _whole(values, ("digest", "platform", "size", *more), where)
    mine = {key: value for key, value in values.items() if key in ENTRY}
    reference = _text(name, where).partition(" (")[0]
    image = LockedImage(**{"reference": reference, "created": "", **mine})
    if image.key != name:
        raise LockError(f"{where}: should be called {image.key!r}, as its platform says")
    return image


def _was(name: Any, entry: Any, where: str) -> Replaced:
    image = _image(name, entry, where, REPLACED)
    return Replaced(image, *(entry[name] for name in REPLACED))


def _quarantined(entry: Any, where: str) -> Quarantined:
    values: dict[str, str] = {}
    for key, value in _checked(entry, dict, where).items():
        _known(key, QUARANTINED, where)
        values[key] = _read(key, value, f"{where}: {key}")
    _whole(values, QUARANTINED, where)
    return Quarantined(**values)


def _checked(value: Any, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise LockError(f"{what} should be {_NAMES[kind]}, got {short(value)}")
    return value


def _known(key: Any, keys: tuple[str, ...], where: str) -> None:
    if key not in keys:
        raise LockError(f"{where} should hold only {', '.join(keys)}, got {short(key)}")


def _whole(values: Mapping[str, Any], needed: tuple[str, ...], where: str) -> None:
    if lacking := [key for key in needed if key not in values]:
        raise LockError(f"{where} should hold {', '.join(lacking)}, got only {', '.join(values)}")


def _read(key: str, value: Any, where: str) -> Any:
    reader: Callable[[Any, str], Any] = _READERS.get(key, _text)
    return reader(value, where)


def _text(value: Any, where: str) -> str:
    return _checked(value, str, where)


def _texts(value: Any, where: str) -> dict[str, str]:
    texts = _checked(value, dict, where)
    return {_text(key, where): _text(one, f"{where}: {key}") for key, one in texts.items()}


def _digest(value: Any, where: str) -> str:
    if not DIGEST.fullmatch(_text(value, where)):
        raise LockError(f"{where} should be 'sha256:' and 64 hex digits, got {short(value)}")
    return str(value)


def _size(value: Any, where: str) -> int:
    return _checked(value, int, where)


def _layers(value: Any, where: str) -> tuple[tuple[str, int], ...]:
    found = [_LAYER.fullmatch(_text(one, where)) for one in _checked(value, list, where)]
    if None in found:
        raise LockError(f"{where} should be like 1a2b3c4d5e6f:12345, got {short(value)}")
    return tuple((match[1], int(match[2])) for match in found if match)


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "digest": _digest, "size": _size, "layers": _layers, "labels": _texts, "env": _texts,
}  # fmt: skip
