"""The gates: does this WebUI answer, see a GPU, and make a picture?

Runs inside the WebUI's container (`docker exec -i CONTAINER python3 - < gates.py`), with the
standard library of Python 3.9. Prints one JSON object a line; the last has "proven".

One connection, at most one probe a second: the real WebUI's start can crash under faster polling.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

URL = "http://127.0.0.1:7860"
LOGIN = "/opt/gpuhost/login"
PICTURE = {"prompt": "a red cube", "steps": 1, "width": 64, "height": 64, "seed": 1}
LARGER = {"prompt": "a red cube", "steps": 20, "width": 512, "height": 512, "seed": 1}
PNG = b"\x89PNG\r\n\x1a\n"


class Failed(Exception):
    """A gate that did not pass, with what was found."""


def say(**fields: object) -> None:
    """Print one line of the journal."""
    print(json.dumps(fields), flush=True)


def ask(path: str, timeout: float, body: object = None) -> object:
    """One request to the WebUI's API; its JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    if os.path.exists(LOGIN):
        with open(LOGIN, "rb") as file:
            pair = base64.b64encode(file.read().strip()).decode()
        request.add_header("Authorization", "Basic " + pair)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read())


def answers(limit: float) -> "dict[str, object]":
    """Wait until the WebUI's own routes answer, the API included."""
    deadline = time.monotonic() + limit
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            ask("/internal/ping", 5)
            ask("/sdapi/v1/progress?skip_current_image=true", 5)
            return {}
        except urllib.error.HTTPError as error:
            last = "HTTP %d" % error.code
        except (OSError, ValueError) as error:
            last = str(getattr(error, "reason", error))
        time.sleep(1)
    raise Failed("no answer within %d s, last: %s" % (limit, last))


def gpu(limit: float) -> "dict[str, object]":
    """The WebUI's own torch must have a GPU: without one it runs on, a hundred times slower."""
    memory = ask("/sdapi/v1/memory", limit)
    cuda = memory.get("cuda", {}) if isinstance(memory, dict) else {}
    if "system" not in cuda:
        raise Failed("the WebUI sees no GPU: %s" % cuda.get("error", "no word of CUDA"))
    return {"vram_bytes": cuda["system"]["total"]}


def picture(limit: float) -> "dict[str, object]":
    """One small picture: the only reliable sign that a model is loaded."""
    began = time.monotonic()
    try:
        answer = ask("/sdapi/v1/txt2img", limit, PICTURE)
    except urllib.error.HTTPError as error:
        raise Failed("HTTP %d: %s" % (error.code, _reason(error))) from None
    except OSError as error:
        raise Failed("no picture within %d s: %s" % (limit, error)) from None
    images = answer.get("images", []) if isinstance(answer, dict) else []
    if not images or not base64.b64decode(images[0]).startswith(PNG):
        raise Failed("the answer holds no PNG")
    return {"picture_seconds": round(time.monotonic() - began, 2)}


def idle(limit: float) -> "dict[str, object]":
    """Wait until nobody waits for a picture; a WebUI that does not answer has no jobs."""
    deadline = time.monotonic() + limit
    busy = _busy()
    while busy:
        if time.monotonic() >= deadline:
            raise Failed("busy: " + busy)
        say(gate="idle", state="waiting", busy=busy)
        time.sleep(min(2, max(0, deadline - time.monotonic())))
        busy = _busy()
    return {}


def _busy() -> str:
    """What it is doing, "" for nothing. `/queue/status` does not see jobs of the API."""
    progress = _asked("/sdapi/v1/progress?skip_current_image=true")
    state = progress.get("state") or {}
    if state.get("job") or state.get("job_count"):
        return "%s, %d %% done" % (state.get("job") or "a job", progress.get("progress", 0) * 100)
    waiting = _asked("/internal/pending-tasks").get("size") or 0
    return "%d jobs wait" % waiting if waiting else ""


def _asked(path: str) -> "dict[str, Any]":
    """An answer, or nothing after three tries; without --api there is no progress to ask for."""
    for _ in range(3):
        try:
            answer = ask(path, 10)
            return answer if isinstance(answer, dict) else {}
        except urllib.error.HTTPError:
            return {}
        except (OSError, ValueError):
            time.sleep(0.5)
    return {}


def benchmark(limit: float) -> "dict[str, object]":
    """The median time of three pictures, once the model is warm."""
    deadline = time.monotonic() + limit
    taken = []
    for _ in range(4):
        began = time.monotonic()
        try:
            ask("/sdapi/v1/txt2img", max(1, deadline - began), LARGER)
        except OSError as error:
            raise Failed("no pictures within %d s: %s" % (limit, error)) from None
        taken.append(time.monotonic() - began)
    return {"seconds_per_picture": round(sorted(taken[1:])[1], 3)}


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        body = json.loads(error.read())
    except ValueError:
        return "no reason given"
    if not isinstance(body, dict):
        return "no reason given"
    return " ".join(str(body.get(key, "")) for key in ("error", "detail", "errors")).strip()[:300]


GATES = {
    "answers": answers,
    "gpu": gpu,
    "picture": picture,
    "benchmark": benchmark,
    "idle": idle,
}


def main(words: "list[str]") -> int:
    """Run the gates named `NAME=SECONDS`, in order; 0 when all passed."""
    figures = {}
    for word in words:
        name, _, limit = word.partition("=")
        began = time.monotonic()
        say(gate=name, state="waiting", limit=int(limit))
        try:
            figures.update(GATES[name](float(limit)))
        except (Failed, OSError, ValueError, LookupError, TypeError) as error:
            say(gate=name, state="failed", reason=str(error))
            return 1
        figures["%s_seconds" % name] = round(time.monotonic() - began, 2)
        say(gate=name, state="passed", seconds=figures["%s_seconds" % name])
    say(proven=True, figures=figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
