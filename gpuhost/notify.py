"""Send a verdict to where `cycle_notify` says. What fails here fails nothing else.

The URL may be the secret itself: of it, only the host's name is ever said.
"""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from requests import Session

TRIES = 3
TIMEOUT = 10
"""Seconds to connect, and to wait for an answer."""
COMMAND_TIMEOUT = 60
RETRIED = frozenset({429, 500, 502, 503, 504})


def send(
    receiver: str, verdict: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep
) -> str:
    """Send it by POST or to a command's standard input; one line that says what failed, or ""."""
    if not receiver:
        return ""
    text = json.dumps(verdict, ensure_ascii=False) + "\n"
    if receiver.startswith(("http://", "https://")):
        return _post(receiver, text, sleep)
    return _tell(receiver, text)


def _post(url: str, text: str, sleep: Callable[[float], None]) -> str:
    import requests

    problem = ""
    with requests.Session() as session:
        for attempt in range(TRIES):
            if attempt:
                sleep(2.0**attempt)
            problem, again = _once(session, url, text)
            if not again:
                break
    host = urlsplit(url).hostname
    return f"cycle_notify: {host} did not take the verdict: {problem}" if problem else ""


def _once(session: "Session", url: str, text: str) -> tuple[str, bool]:
    """One try: what went wrong, and whether another one may help."""
    import requests

    headers = {"Content-Type": "application/json", "User-Agent": "gpuhost"}
    try:
        with session.post(
            url,
            data=text.encode(),
            headers=headers,
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
    except requests.RequestException as error:
        return type(error).__name__, True
    if 200 <= status < 300:
        return "", False
    return f"it answered {status}", status in RETRIED


def _tell(command: str, text: str) -> str:
    words = shlex.split(command)
    try:
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"cycle_notify: {words[0]} did not end in {COMMAND_TIMEOUT} s"
    except OSError as error:
        return f"cycle_notify: {words[0]} could not be started: {error.strerror}"
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return f"cycle_notify: {words[0]} failed with exit code {done.returncode}" + (
            f": {said[-1][:200]}" if said else ""
        )
    return ""
