"""What a route, a request and an answer are, and who may pass."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from standin.errors import HTTPError, missing, not_json
from standin.webui import WebUI


@dataclass
class Answer:
    """A body, its type, and what else goes into the head."""

    content: bytes
    kind: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)


@dataclass
class Request:
    """One request: the process it came to, its headers by lower-case name, its raw body."""

    webui: WebUI
    headers: Mapping[str, str]
    raw: bytes

    def text(self) -> str:
        """The body as text."""
        return self.raw.decode("utf8", "replace")

    def body(self) -> Any:
        """The body as JSON; without one, or with a broken one, 422."""
        if not self.raw:
            raise missing()
        try:
            return json.loads(self.text())
        except json.JSONDecodeError as error:
            raise not_json(self.text(), error) from None

    def token(self) -> str | None:
        """The cookie that a login gave."""
        cookies = SimpleCookie(self.headers.get("cookie", ""))
        for name in ("access-token", "access-token-unsecure"):
            if name in cookies:
                return cookies[name].value
        return None

    def user(self) -> str | None:
        """Who is logged in to the pages."""
        return self.webui.tokens.get(self.token() or "")


@dataclass(frozen=True)
class Route:
    """Handlers by method, the phase of the start in which they appear, and what protects them."""

    methods: Mapping[str, Any]
    phase: str
    guard: str = "open"
    takes_json: bool = False

    def answer(self, method: str, request: Request) -> Answer:
        """Broken JSON is told before the missing login, a wrong field after it."""
        if self.takes_json and request.raw:
            request.body()
        GUARDS[self.guard](request)
        handler: Callable[[Request], Answer] = self.methods[method]
        return handler(request)


def json_answer(document: Any, status: int = 200) -> Answer:
    """JSON as the real one writes it, without blanks."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return Answer(text.encode(), "application/json", status)


def _check_api(request: Request) -> None:
    logins = request.webui.api_logins
    if not logins:
        return
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise HTTPError(401, "Not authenticated")
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise HTTPError(401, "Invalid authentication credentials")
    if logins.get(user) != password:
        raise HTTPError(401, "Incorrect username or password")


def _check_ui(request: Request) -> None:
    if request.webui.ui_logins and not request.user():
        raise HTTPError(401, "Not authenticated")


GUARDS = {"open": lambda request: None, "api": _check_api, "ui": _check_ui}
