"""The pages' routes (the UI framework's) and those below /internal."""

from __future__ import annotations

import json
import platform
import secrets
import sys
import urllib.parse

from standin.errors import HTTPError, missing
from standin.routes import Answer, Request, Route, json_answer

PADDING = "<!-- " + "stable diffusion " * 400 + "-->"
PAGE = """<!doctype html>
<html lang="en"><head><meta property="og:title" content="Stable Diffusion" />
<title>Stable Diffusion</title>
<script>window.gradio_config = {config};</script></head>
<body><gradio-app></gradio-app>{padding}</body></html>
"""
LOGIN = {"auth_required": True, "auth_message": None, "space_id": None, "root": ""}


def routes() -> dict[str, Route]:
    """Routes by path."""
    return {
        "/": _get(_page, also_head=True),
        "/queue/status": _get(lambda r: json_answer(_queue()), guard="ui"),
        "/config": _get(lambda r: json_answer(_config()), guard="ui"),
        "/info": _get(lambda r: json_answer({"named_endpoints": {}}), guard="ui"),
        "/login_check": _get(lambda r: json_answer(None), guard="ui"),
        "/login": Route({"POST": _login}, "pages"),
        "/login/": Route({"POST": _login}, "pages"),
        "/app_id": _get(lambda r: json_answer({"app_id": r.webui.app_id})),
        "/startup-events": _get(lambda r: json_answer(False)),
        "/token": _get(lambda r: json_answer({"token": r.token(), "user": r.user()})),
        "/user": _get(lambda r: json_answer(r.user())),
        "/robots.txt": _get(lambda r: Answer(b"User-agent: *\nDisallow: ", "text/plain")),
        "/docs": _get(lambda r: Answer(b"<!DOCTYPE html><html></html>", "text/html")),
        "/openapi.json": _get(lambda r: json_answer({"openapi": "3.0.2"})),
        "/internal/ping": _internal(lambda r: json_answer({})),
        "/internal/pending-tasks": _internal(_pending),
        "/internal/profile-startup": _internal(_profile),
        "/internal/sysinfo": _internal(_sysinfo),
    }


def _get(handler: object, guard: str = "open", also_head: bool = False) -> Route:
    methods = {"GET": handler, "HEAD": handler} if also_head else {"GET": handler}
    return Route(methods, "pages", guard)


def _internal(handler: object) -> Route:
    return Route({"GET": handler}, "internal")


def _config() -> dict[str, object]:
    return {"version": "3.41.2", "mode": "blocks", "title": "Stable Diffusion", "components": []}


def _page(request: Request) -> Answer:
    known = not request.webui.ui_logins or request.user()
    config = _config() if known else LOGIN
    padding = PADDING if known else ""
    text = PAGE.format(config=json.dumps(config, separators=(",", ":")), padding=padding)
    return Answer(text.encode(), "text/html; charset=utf-8")


def _queue() -> dict[str, object]:
    return {
        "msg": "estimation",
        "rank": None,
        "queue_size": 0,
        "avg_event_process_time": 0.0,
        "avg_event_concurrent_process_time": None,
        "rank_eta": None,
        "queue_eta": 1.0,
    }


def _login(request: Request) -> Answer:
    form = dict(urllib.parse.parse_qsl(request.text()))
    for field in ("username", "password"):
        if field not in form:
            raise missing(field)
    if request.webui.ui_logins.get(form["username"]) != form["password"]:
        raise HTTPError(400, "Incorrect credentials.")
    token = secrets.token_urlsafe(16)
    request.webui.tokens[token] = form["username"]
    answer = json_answer({"success": True})
    answer.cookies = [
        f"access-token={token}; HttpOnly; Path=/; SameSite=none; Secure",
        f"access-token-unsecure={token}; HttpOnly; Path=/; SameSite=lax",
    ]
    return answer


def _pending(request: Request) -> Answer:
    tasks = list(request.webui.jobs.waiting)
    return json_answer({"size": len(tasks), "tasks": tasks})


def _profile(request: Request) -> Answer:
    records = request.webui.startup
    return json_answer({"total": sum(records.values()), "records": records})


def _sysinfo(request: Request) -> Answer:
    args = request.webui.args
    hidden = {args.api_auth, args.gradio_auth} - {None}
    about = {
        "Platform": platform.platform(),
        "Python": platform.python_version(),
        "Version": "v1.10.1",
        "Commit": "82a973c04367123ae98bd9abdf80d9eda9b910e2",
        "Data path": str(request.webui.data),
        "Commandline": ["<hidden>" if word in hidden else word for word in sys.argv],
        "Config": request.webui.options.changed,
    }
    return Answer(json.dumps(about, indent=4).encode(), "text/plain; charset=utf-8")
