"""The routes below /sdapi/v1."""

from __future__ import annotations

import os
from typing import Any

from standin.gpu import ram
from standin.routes import Answer, Request, Route, json_answer
from standin.txt2img import txt2img

SAMPLERS = (("DPM++ 2M", "k_dpmpp_2m", "karras"), ("Euler a", "k_euler_a", ""))


def routes(stoppable: bool) -> dict[str, Route]:
    """Routes by path; those that stop the process are there only when asked for."""
    table = {
        "memory": _get(lambda r: {"ram": ram(), "cuda": r.webui.gpu.memory()}),
        "progress": _get(lambda r: r.webui.jobs.progress()),
        "cmd-flags": _get(lambda r: vars(r.webui.args)),
        "sd-models": _get(lambda r: [c.about() for c in r.webui.model.checkpoints()]),
        "samplers": _get(lambda r: _samplers()),
        "scripts": _get(lambda r: {"txt2img": ["prompt matrix"], "img2img": []}),
        "sd-vae": _get(lambda r: []),
        "extensions": _get(lambda r: []),
        "loras": Route({"GET": lambda r: json_answer([])}, "api", guard="open"),
        "options": Route({"GET": _options, "POST": _set_options}, "api", guard="api"),
        "txt2img": _post(lambda r: txt2img(r.webui, r.body()), json=True),
        "interrupt": _post(_interrupt),
        "skip": _post(lambda r: None),
        "refresh-checkpoints": _post(lambda r: None),
    }
    if stoppable:
        table["server-kill"] = _post(lambda r: os._exit(0))
    return {f"/sdapi/v1/{name}": route for name, route in table.items()}


def _get(answer: Any) -> Route:
    return Route({"GET": lambda r: json_answer(answer(r))}, "api", guard="api")


def _post(answer: Any, json: bool = False) -> Route:
    return Route({"POST": lambda r: json_answer(answer(r))}, "api", guard="api", takes_json=json)


def _options(request: Request) -> Answer:
    return json_answer(request.webui.options.all())


def _set_options(request: Request) -> Answer:
    request.webui.options.set(request.body())
    return json_answer(None)


def _interrupt(request: Request) -> dict[str, Any]:
    request.webui.jobs.interrupt()
    return {}


def _samplers() -> list[dict[str, Any]]:
    return [
        {"name": name, "aliases": [alias], "options": {"scheduler": scheduler} if scheduler else {}}
        for name, alias, scheduler in SAMPLERS
    ]
