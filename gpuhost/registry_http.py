"""HTTP towards registries: a private CA, bounded answers, and another try where one may help."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session
    from requests.adapters import HTTPAdapter

TRIES = 4
LONGEST_WAIT = 30.0
RETRIED = frozenset({500, 502, 503, 504})


@dataclass(frozen=True)
class Request:
    """One question; `limit` is the most bytes its answer may have."""

    method: str
    url: str
    limit: int
    accept: str = "*/*"
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True)
class Reply:
    """An answer with header names in lower case, or `failure`: why there is none."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str = ""
    lasting: bool = False

    def wait(self, attempt: int) -> float | None:
        """Seconds until the next try; None where another one is no use."""
        if self.status == 429:
            asked = retry_after(self.headers)
            wait = 2.0**attempt if asked is None else asked
            return wait if wait <= LONGEST_WAIT else None
        if self.status in RETRIED or (self.failure and not self.lasting):
            return 0.5 * 2.0**attempt
        return None


@dataclass
class Transport:
    """Sends requests; `ca` is trusted beside the usual authorities, `sleep` waits seconds."""

    ca: Path | None = None
    timeout: float = 30.0
    tries: int = TRIES
    sleep: Callable[[float], None] = time.sleep
    _session: Session | None = field(default=None, init=False, repr=False)

    def send(self, request: Request, authorization: str | None) -> Reply:
        """Send a request up to `tries` times; never raises for what the network does."""
        for attempt in range(self.tries):
            reply = self._once(request, authorization)
            wait = reply.wait(attempt)
            if wait is None or attempt == self.tries - 1:
                break
            self.sleep(wait)
        return reply

    def _once(self, request: Request, authorization: str | None) -> Reply:
        import requests

        try:
            with self._open().request(
                request.method, request.url, params=dict(request.query), stream=True,
                headers={"Accept": request.accept}, auth=_Authorization(authorization),
                timeout=self.timeout, allow_redirects=True,
            ) as response:  # fmt: skip
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, headers, _body(response, request.limit))
        except requests.exceptions.SSLError as error:
            return Reply(failure=f"{_reason(error)}; is the registry's CA given?", lasting=True)
        except requests.exceptions.Timeout:
            return Reply(failure=f"no answer within {self.timeout:g} s; is the registry up?")
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as e:
            return Reply(failure=f"{_reason(e)}; is the address right and the registry up?")
        except (requests.exceptions.RequestException, ValueError) as error:
            return Reply(failure=f"{_reason(error)}; is this a registry?", lasting=True)

    def _open(self) -> Session:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers["User-Agent"] = "gpuhost"
            if self.ca:
                self._session.mount("https://", _trusting(self.ca))
        return self._session


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds a server asks to wait, given as seconds or as a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=timezone.utc)
        return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class _Authorization:
    """Sets our header itself: given no auth, requests would look one up in ``~/.netrc``."""

    def __init__(self, value: str | None) -> None:
        self.value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self.value:
            request.headers["Authorization"] = self.value
        return request


def _trusting(ca: Path) -> HTTPAdapter:
    from requests.adapters import HTTPAdapter

    context = ssl.create_default_context()
    context.load_verify_locations(ca)
    # Python 3.13 turned this on; home-made authorities that the engine trusts would fail it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **kwargs)

        def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
            return super().proxy_manager_for(proxy, ssl_context=context, **kwargs)

    return Trusting()


def _body(response: Response, limit: int) -> bytes:
    parts, size = [], 0
    for part in response.iter_content(64 * 1024):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ValueError(f"the answer is larger than {limit} bytes")
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    """The innermost cause, which is the one with the words."""
    cause: BaseException = error
    for _ in range(8):
        inner = [getattr(cause, "reason", None), *cause.args, cause.__cause__]
        deeper = next((one for one in inner if isinstance(one, BaseException)), None)
        if deeper is None:
            break
        cause = deeper
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
