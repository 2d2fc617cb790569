"""Turn what pydantic found into one line per mistake that a person can act on."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from gpuhost.settings import Instance, Settings

KINDS = {
    "bool_type": "True or False",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a dictionary",
    "model_type": "a dictionary",
    "invalid-json-value": "something that JSON can hold",
}
UNKNOWN_HINT = "or start your own keys with 'x_'"


def complaints(error: ValidationError) -> list[str]:
    """`key: what is wrong, what was found`, one line per mistake, in order, without repeats."""
    lines: list[str] = []
    for detail in error.errors(include_url=False):
        lines.extend(_lines(dict(detail)))
    return list(dict.fromkeys(lines))


def unknown_keys(keys: Iterable[str], known: Iterable[str]) -> list[str]:
    """Complaints about keys of host data that nobody reads, with the nearest known one."""
    vocabulary = sorted(set(known) | set(Settings.model_fields))
    return [
        f"{key}: unknown setting{_near(key, vocabulary)}, {UNKNOWN_HINT}"
        for key in sorted(keys)
        if key not in vocabulary and not key.startswith(("_", "x_"))
    ]


def by_host(found: Mapping[str, Iterable[str]]) -> list[str]:
    """Merge the complaints of all hosts: what all share is said once, of `group_data`."""
    holders: dict[str, list[str]] = {}
    for name, lines in found.items():
        for line in lines:
            holders.setdefault(line, []).append(name)
    return [
        f"{'group_data' if len(names) == len(found) else ', '.join(names)}: {line}"
        for line, names in holders.items()
    ]


def _near(key: str, vocabulary: Iterable[str]) -> str:
    near = get_close_matches(key, list(vocabulary), n=1, cutoff=0.75)
    return f" (did you mean {near[0]}?)" if near else ""


def _lines(detail: dict[str, Any]) -> list[str]:
    where, kind, found = _path(detail["loc"]), detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "value_error":
        text = str(context["error"])
        if not where:
            return text.splitlines()
        return [f"{where}: {text}"]
    if kind == "missing":
        return [f"{where}: is required, got nothing"]
    if kind == "extra_forbidden":
        vocabulary = _fields_at(detail["loc"])
        return [f"{where}: unknown setting{_near(str(detail['loc'][-1]), vocabulary)}"]
    if kind == "literal_error":
        return [f"{where}: should be {context['expected']}, got {found!r}"]
    if kind in ("greater_than_equal", "less_than_equal"):
        return [f"{where}: should be {_bounds(detail)}, got {found!r}"]
    if kind == "too_short":
        return [f"{where}: should hold at least one entry, got {found!r}"]
    return [f"{where}: should be {KINDS.get(kind, detail['msg'].lower())}, got {found!r}"]


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    return list((Instance if len(location) > 1 else Settings).model_fields)


def _bounds(detail: dict[str, Any]) -> str:
    model = Instance if len(detail["loc"]) > 1 else Settings
    limits = model.model_fields[str(detail["loc"][-1])].metadata
    least = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    most = next((limit.le for limit in limits if hasattr(limit, "le")), None)
    return f"{least} or more" if most is None else f"{least}-{most}"
