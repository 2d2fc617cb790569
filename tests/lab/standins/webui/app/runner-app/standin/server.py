"""HTTP: sockets, the phases of the start, errors, compression."""

from __future__ import annotations

import gzip
import os
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from standin import api, faults, pages
from standin.errors import HTTPError, RoutingError, raised
from standin.routes import Answer, Request, Route, json_answer
from standin.webui import WebUI

# Requests within the moment between the pages and the API that make the real start crash.
TOO_MANY_EARLY_REQUESTS = 20


class Server(ThreadingHTTPServer):
    """The listening socket of one process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, webui: WebUI, address: str, port: int) -> None:
        super().__init__((address, port), Handler)
        self.webui = webui
        args = webui.args
        self.table: dict[str, Route] = {} if args.nowebui else pages.routes()
        if args.api or args.nowebui:
            self.table |= api.routes(args.api_server_stop)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's error."""

    def find(self, method: str, path: str) -> Route:
        """The route of a request, once the start has come so far."""
        ready = self.webui.ready
        if "api" not in ready:
            self.webui.early_requests += 1
        route = self.table.get(path)
        if route is None or route.phase not in ready:
            raise RoutingError(404, "Not Found")
        if method not in route.methods:
            raise RoutingError(405, "Method Not Allowed")
        return route


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _serve(self) -> None:
        begun = time.monotonic()
        _hang()
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self._answer()
        if answer.status != 500 or b'"HTTPException"' in answer.content:
            answer.headers["x-process-time"] = f"{time.monotonic() - begun:.4f}"
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _serve

    def _answer(self) -> Answer:
        path = urlsplit(self.path).path
        try:
            route = self.server.find(self.command, path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.server.webui, headers, self.content)
            return route.answer(self.command, request)
        except HTTPError as error:
            answer = json_answer(error.shape, error.status)
            if error.status == 405:
                answer.headers["allow"] = ", ".join(self.server.table[path].methods)
            return answer
        except Exception as error:
            message = repr(error.args[0]) if isinstance(error, KeyError) else str(error)
            shape = raised(type(error).__name__, errors=message)
            self._log_failure(path, shape)
            return json_answer(shape, 500)

    def _log_failure(self, path: str, shape: dict[str, str]) -> None:
        host, port = self.server.server_address[:2]
        print(f"*** API error: {self.command}: http://{host}:{port}{path} {shape}", file=sys.stderr)
        print("    " + traceback.format_exc().replace("\n", "\n    ").rstrip(), file=sys.stderr)
        print("---", file=sys.stderr)

    def _send(self, answer: Answer) -> None:
        content = answer.content
        self.send_response_only(answer.status)
        self.send_header("server", "uvicorn")
        self.send_header("content-type", answer.kind)
        if len(content) > 1000 and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content, 5)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        for cookie in answer.cookies:
            self.send_header("set-cookie", cookie)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """No access log."""


def _hang() -> None:
    while faults.now().get("hang"):
        time.sleep(0.2)


def listen(webui: WebUI) -> Server:
    """Bind: the port asked for or none; without one asked for, the next that is free."""
    args = webui.args
    address = "0.0.0.0" if args.listen or args.nowebui else args.server_name or "127.0.0.1"
    wanted = int(os.environ.get("GRADIO_SERVER_PORT", 7861 if args.nowebui else 7860))
    ports = [args.port] if args.port else range(wanted, wanted + 100)
    for port in ports:
        try:
            return Server(webui, address, port)
        except OSError:
            continue
    raise OSError(
        f"Cannot find empty port in range: {ports[0]}-{ports[-1]}. You can specify a different "
        "port by setting the GRADIO_SERVER_PORT environment variable or passing the "
        "`server_port` parameter to `launch()`."
    )


def open_in_phases(server: Server) -> None:
    """Serve the pages at once, the rest a moment later, as the real one registers them."""
    webui = server.webui
    if not webui.args.nowebui:
        webui.ready.add("pages")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"Running on local URL:  http://{host}:{port}", flush=True)
    print("\nTo create a public link, set `share=True` in `launch()`.", flush=True)
    pause = float(faults.now().get("register_seconds", 0.2)) / 2
    time.sleep(pause)
    webui.ready.add("internal")
    time.sleep(pause)
    if webui.early_requests > TOO_MANY_EARLY_REQUESTS:
        raise RuntimeError("Cannot add middleware after an application has started")
    webui.ready.add("api")


def shown(records: dict[str, float]) -> str:
    """The line that ends the start."""
    parts = ", ".join(f"{name}: {seconds:.1f}s" for name, seconds in records.items())
    return f"Startup time: {sum(records.values()):.1f}s ({parts})."
