"""The two shapes of an error: the framework's own, and the one of the program's handlers."""

from __future__ import annotations

import json
from typing import Any


class HTTPError(Exception):
    """An error that a handler answers with; `shape` is the JSON document."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.shape: dict[str, Any] = raised("HTTPException", detail=detail)


class RoutingError(HTTPError):
    """An error that is answered before any handler runs."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status, str(detail))
        self.shape = {"detail": detail}


def raised(kind: str, detail: str = "", errors: str = "") -> dict[str, Any]:
    """What the program answers for an exception of this class."""
    return {"error": kind, "detail": detail, "body": "", "errors": errors}


def not_json(text: str, error: json.JSONDecodeError) -> RoutingError:
    """422 for a body that is no JSON."""
    place = {"pos": error.pos, "lineno": error.lineno, "colno": error.colno}
    return RoutingError(
        422,
        [
            {
                "loc": ["body", error.pos],
                "msg": str(error),
                "type": "value_error.jsondecode",
                "ctx": {"msg": error.msg, "doc": text, **place},
            }
        ],
    )


def missing(*where: str) -> RoutingError:
    """422 for a field, or a body, that is not there."""
    place = ["body", *where]
    return RoutingError(
        422, [{"loc": place, "msg": "field required", "type": "value_error.missing"}]
    )


def no_integer(name: str) -> RoutingError:
    """422 for a field that should be an integer."""
    text = "value is not a valid integer"
    return RoutingError(422, [{"loc": ["body", name], "msg": text, "type": "type_error.integer"}])
