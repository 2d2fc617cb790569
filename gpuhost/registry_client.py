"""One registry endpoint: the login it asks for, and errors that say what to do."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from . import strict_json
from .registry_http import Reply, Request, Transport, retry_after

_PARAMETER = re.compile(r'([a-zA-Z_]+)=(?:"([^"]*)"|([^",\s]+))')
_CHALLENGE = re.compile(rf"\b(bearer|basic)\b((?:[\s,]*{_PARAMETER.pattern})*)", re.IGNORECASE)
_TOKEN_LIMIT = 1 << 20


class RegistryError(Exception):
    """Why a registry did not give what was asked, in one line and without credentials."""


@dataclass(frozen=True)
class Login:
    """A user and a password that is never shown."""

    user: str
    password: str = field(repr=False)


@dataclass
class Client:
    """Asks one endpoint, ``https://host[:port]``; `RegistryError` where that is no address."""

    endpoint: str
    login: Login | None = field(repr=False)
    transport: Transport = field(repr=False)
    _held: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.endpoint = self.endpoint.rstrip("/")
        parts = urlsplit(self.endpoint)
        if "@" in parts.netloc:
            raise RegistryError("registry endpoint: should hold no login, give user and password")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RegistryError(
                f"registry endpoint: should look like 'https://host:5000', got {self.endpoint!r}"
            )

    def ask(self, method: str, repository: str, path: str, accept: str, limit: int) -> Reply:
        """Send a request below ``/v2/REPOSITORY/``, logging in where that is asked for.

        Raises `RegistryError` for anything but 200.
        """
        url = f"{self.endpoint}/v2/{repository}/{path}"
        request = Request(method, url, limit, accept)
        reply = self.transport.send(request, self._held.get(repository))
        if reply.status == 401:
            self._held[repository] = self._log_in(request, reply, repository)
            reply = self.transport.send(request, self._held[repository])
        return self._checked(request, reply)

    def _checked(self, request: Request, reply: Reply) -> Reply:
        if reply.status != 200:
            raise self._error(request, reply)
        return reply

    def _error(self, request: Request, reply: Reply) -> RegistryError:
        if reply.failure:
            return RegistryError(f"{request}: {self._clean(reply.failure)}")
        answer = f"{reply.status} {self._clean(_said(reply.body))}".rstrip()
        return RegistryError(f"{request}: {answer}; {self._remedy(reply)}")

    def _log_in(self, request: Request, refusal: Reply, repository: str) -> str:
        offered = _challenges(refusal.headers.get("www-authenticate", ""))
        bearer = offered.get("bearer", {})
        if bearer.get("realm"):
            scope = bearer.get("scope") or f"repository:{repository}:pull"
            return self._token(bearer["realm"], bearer.get("service", ""), scope)
        if "basic" in offered and self.login:
            return self._basic(self.endpoint, self.login)
        raise self._error(request, refusal)

    def _token(self, realm: str, service: str, scope: str) -> str:
        query = {"scope": scope, **({"service": service} if service else {})}
        request = Request("GET", realm, _TOKEN_LIMIT, query=query)
        held = self._basic(realm, self.login) if self.login else None
        reply = self._checked(request, self.transport.send(request, held))
        found = _object(reply.body)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise RegistryError(f"{request}: there is no token in the answer; is it a registry's?")
        return f"Bearer {token}"

    def _basic(self, url: str, login: Login) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise RegistryError(f"{url}: should be https, the password would travel in the clear")
        pair = f"{login.user}:{login.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _remedy(self, reply: Reply) -> str:
        if reply.status == 401:
            if self.login:
                return f"check the password of {self.login.user!r}; or there is no such image"
            return "give a user and password; or there is no such image"
        if reply.status == 403:
            who = repr(self.login.user) if self.login else "an anonymous user"
            return f"{who} may not pull this image, give one who may"
        if reply.status == 404:
            return "there is no such image, check registry, repository and tag"
        if reply.status == 429:
            wait = retry_after(reply.headers)
            when = f"in {wait:.0f} s" if wait else "later"
            return f"too many pulls, try again {when}, log in, or use a mirror"
        return "is this a registry, and is it well?"

    def _clean(self, text: str) -> str:
        secrets = [self.login.password] if self.login else []
        secrets += [held.split()[-1] for held in self._held.values()]
        for secret in secrets:
            text = text.replace(secret, "***") if secret else text
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _challenges(header: str) -> dict[str, dict[str, str]]:
    """The ways to log in that are offered, by scheme; some registries offer two."""
    return {
        way[1].lower(): {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(way[2])}
        for way in _CHALLENGE.finditer(header)
    }


def _said(body: bytes) -> str:
    """The registry's own words: its code and message where it answers as registries do."""
    errors = _object(body).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, Mapping):
        return ""
    return " ".join(str(first[key]) for key in ("code", "message") if first.get(key))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = strict_json.parse(body)
    except strict_json.JsonError:
        return {}
    return found if isinstance(found, dict) else {}
