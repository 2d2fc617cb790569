"""JSON read without guessing: what two readers might understand differently is an error."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


class JsonError(ValueError):
    """What is wrong with a JSON text and where, in one line."""


def parse(data: bytes) -> Any:
    """Read one JSON value from UTF-8; integers of any size survive.

    Raises `JsonError` for a byte order mark, other encodings, comments, bad syntax, duplicate
    keys, NaN and Infinity, and numbers no reader can hold.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise JsonError("starts with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        found = f"{data[error.start]:#04x} at byte {error.start}"
        raise JsonError(f"should be UTF-8, got {found}; save it as UTF-8") from None
    return _load(text)


def short(value: Any) -> str:
    """Quote a value within 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _load(text: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_pairs, parse_float=_float, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        if text[error.pos :].lstrip().startswith(("//", "/*", "#")):
            raise JsonError(f"{where}: comments are not JSON; remove them") from None
        reason = error.msg[:1].lower() + error.msg[1:]
        raise JsonError(f"{where}: not valid JSON, {reason}") from None
    except RecursionError:
        raise JsonError("nested too deeply to be a configuration") from None
    except JsonError:
        raise
    except ValueError:
        raise JsonError("holds a number too long to be a setting") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JsonError(
                f"key {key!r} is there twice and the engine would keep only the last: "
                f"{short(found[key])} and {short(value)}; write it once"
            )
        found[key] = value
    return found


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonError(f"number {short(text)} is too large")
    return number


def _constant(text: str) -> NoReturn:
    raise JsonError(f"{text} is not JSON; write a number")
