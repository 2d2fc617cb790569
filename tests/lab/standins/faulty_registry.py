"""A registry that misbehaves as told: it passes requests on to the lab's registry, or spoils them.

Runs in a container of its own on Python's standard library. CONTROL says what to do and is read
at every request; SERVED gets one line when an answer begins and one when it ends.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

UPSTREAM = ("registry.gpuhost.test", 5000)
FOLDER = Path("/etc/gpuhost-lab")
CONTROL = FOLDER / "control.json"
SERVED = FOLDER / "served.jsonl"
PASSED_ON = ("Authorization", "Accept", "Range", "If-Range")
KEPT_BACK = ("connection", "transfer-encoding", "keep-alive", "date", "server")
CHUNK = 1 << 16
PORTIONS_A_SECOND = 10
RESOURCE = re.compile(r"/v2/.+/(manifests|blobs)/[^/]+$")
REFUSALS = {
    "manifest-404": (404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "429": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit."),
    "500": (500, "UNKNOWN", "unknown error"),
}


class Orders:
    """What CONTROL says now, and how often it was followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.followed: dict[str, int] = {}
        self._last: dict[str, Any] = {"mode": "ok"}
        self._lock = threading.Lock()

    def now(self) -> dict[str, Any]:
        """The orders in force; the last ones while the file is being replaced."""
        with suppress(OSError, ValueError):
            self._last = json.loads(self.path.read_text())
        return self._last

    def take(self, kind: str, size: int | None) -> dict[str, Any]:
        """The orders for one answer, counted; `size` is None before it is known."""
        orders = self.now()
        if not _concern(orders, kind, size) or not self._count(orders):
            return {"mode": "ok"}
        return orders

    def _count(self, orders: dict[str, Any]) -> bool:
        """Whether orders hold once more."""
        with self._lock:
            count = self.followed.get(orders["serial"], 0)
            self.followed[orders["serial"]] = count + 1
        return orders["times"] is None or count < orders["times"]


def _concern(orders: dict[str, Any], kind: str, size: int | None) -> bool:
    mode = orders["mode"]
    if mode == "ok" or not kind:
        return False
    if mode in REFUSALS:
        wanted = "manifests" if mode == "manifest-404" else orders.get("only") or kind
        return size is None and kind == wanted
    return size is not None and kind == "blobs" and size > orders.get("larger_than", 0)


class Pace:
    """One rate for all answers together."""

    def __init__(self) -> None:
        self._free = 0.0
        self._lock = threading.Lock()

    def wait(self, size: int, rate: float) -> None:
        """Return when so many bytes may go out."""
        with self._lock:
            begin = max(self._free, time.monotonic())
            self._free = begin + size / rate
            until = self._free
        time.sleep(max(0.0, until - time.monotonic()))


class Proxy(ThreadingHTTPServer):
    """The listening socket; handshakes happen in the threads of the connections."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], orders: Orders, served: Path) -> None:
        super().__init__(address, Handler)
        self.orders, self.served, self.pace = orders, served, Pace()

    def upstream(self) -> http.client.HTTPConnection:
        """A connection to the real registry."""
        trust = ssl.create_default_context(cafile=str(FOLDER / "ca.pem"))
        return http.client.HTTPSConnection(*UPSTREAM, timeout=60, context=trust)

    def note(self, **line: object) -> None:
        """Add a line to SERVED."""
        with self.served.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's error."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    server: Proxy

    def do_GET(self) -> None:
        self.sent, self.status = 0, 0
        if not RESOURCE.fullmatch(self.path):
            self._serve()
            return
        about = {
            "id": f"{time.monotonic_ns()}",
            "method": self.command,
            "path": self.path,
            "range": self.headers.get("Range", ""),
        }
        self.server.note(**about)
        try:
            self._serve()
        finally:
            self.server.note(**about, status=self.status, bytes=self.sent)

    do_HEAD = do_GET

    def _serve(self) -> None:
        found = RESOURCE.fullmatch(self.path)
        kind = found[1] if found and "Authorization" in self.headers else ""
        orders = self.server.orders.take(kind, None)
        if orders["mode"] in REFUSALS:
            self._refuse(orders)
            return
        upstream = self.server.upstream()
        try:
            given = ((name, self.headers.get_all(name)) for name in PASSED_ON)
            headers = {name: ", ".join(values) for name, values in given if values}
            upstream.request(self.command, self.path, headers=headers)
            self._pass_on(upstream.getresponse(), kind)
        finally:
            upstream.close()

    def _refuse(self, orders: dict[str, Any]) -> None:
        self.status, code, message = REFUSALS[orders["mode"]]
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if orders.get("retry_after") is not None:
            self.send_header("Retry-After", str(orders["retry_after"]))
        self.end_headers()
        self._send(body)

    def _pass_on(self, answer: http.client.HTTPResponse, kind: str) -> None:
        self.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in KEPT_BACK:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        size = int(answer.headers.get("Content-Length") or 0)
        orders = {"mode": "ok"}
        if answer.status in (200, 206):
            orders = self.server.orders.take(kind, size)
        limit = _limit(orders["mode"], size, answer.headers.get("Content-Range", ""))
        while self.sent < limit:
            portion = self._paced() if orders["mode"] == "slow" else CHUNK
            chunk = answer.read(min(portion, limit - self.sent))
            if not chunk:
                break
            self._send(_spoiled(chunk) if orders["mode"] == "corrupt" else chunk)
        if limit < size:
            self.close_connection = True

    def _paced(self) -> int:
        """How many bytes may go out now, after having waited for them."""
        orders = self.server.orders.now()
        if orders["mode"] != "slow":
            return CHUNK
        portion = max(1, min(CHUNK, int(orders["rate"] / PORTIONS_A_SECOND)))
        self.server.pace.wait(portion, float(orders["rate"]))
        return portion

    def _send(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)
            self.sent += len(data)

    def log_message(self, *_: object) -> None:
        """No log but SERVED."""


def _limit(mode: str, size: int, content_range: str) -> int:
    """How many bytes of an answer go out: half of what was asked, or nothing past the blob's
    own half, or all.
    """
    if mode == "cut":
        return size // 2
    if mode == "truncate":
        place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", content_range)
        first, total = (int(place[1]), int(place[2])) if place else (0, size)
        return max(0, total // 2 - first)
    return size


def _spoiled(chunk: bytes) -> bytes:
    return bytes([chunk[0] ^ 0xFF]) + chunk[1:]


def main() -> None:
    """Serve for ever."""
    proxy = Proxy(("", 5000), Orders(CONTROL), SERVED)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "certificate.pem", FOLDER / "key.pem")
    proxy.socket = context.wrap_socket(
        proxy.socket, server_side=True, do_handshake_on_connect=False
    )
    proxy.serve_forever()


if __name__ == "__main__":
    main()
