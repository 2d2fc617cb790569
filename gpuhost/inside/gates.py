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

URL = "http://127.0.0.1:7860"
LOGIN = "/opt/gpuhost/login"
PICTURE = {"prompt": "a red cube", "steps": 1, "width": 64, "height": 64, "seed": 1}
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


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        body = json.loads(error.read())
    except ValueError:
        return "no reason given"
    if not isinstance(body, dict):
        return "no reason given"
    return " ".join(str(body.get(key, "")) for key in ("error", "detail", "errors")).strip()[:300]


GATES = {"answers": answers, "gpu": gpu, "picture": picture}


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
