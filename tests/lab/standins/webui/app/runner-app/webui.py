"""Starts the stand-in as `python webui.py --listen --port 7860 ...`, in the real one's order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

from standin import faults
from standin.arguments import parse
from standin.jobs import follow_busy
from standin.server import listen, open_in_phases, shown
from standin.webui import WebUI


def main() -> None:
    """Import, parse, load the model in the background, open the port, wait for a signal."""
    begun = time.monotonic()
    _exit_when_told()
    time.sleep(float(faults.now().get("slow_start", 0.4)))
    args = parse(sys.argv[1:])
    webui = WebUI(args)
    _mind_signals()
    _say_what_is_missing(webui)
    if not args.skip_load_model_at_start:
        webui.model.load_in_background()
    if faults.now().get("never_healthy"):
        threading.Event().wait()
    threading.Thread(target=follow_busy, args=(webui.jobs,), daemon=True).start()
    webui.startup["imports"] = time.monotonic() - begun
    open_in_phases(listen(webui))
    webui.startup["gradio launch"] = time.monotonic() - begun - webui.startup["imports"]
    print(shown(webui.startup), flush=True)
    _exit_when_time_is_up(time.monotonic())


def _exit_when_told() -> None:
    code = int(faults.now().get("exit_at_start", 0))
    if code:
        print("Traceback (most recent call last):", file=sys.stderr)
        print("ImportError: libGL.so.1: cannot open shared object file", file=sys.stderr)
        sys.exit(code)


def _exit_when_time_is_up(opened: float) -> NoReturn:
    while True:
        seconds = float(faults.now().get("exit_after", 0))
        if seconds and time.monotonic() - opened >= seconds:
            print("terminate called after throwing an instance of 'c10::Error'", file=sys.stderr)
            print("  what():  CUDA error: an illegal memory access", file=sys.stderr, flush=True)
            os._exit(134)
        time.sleep(0.1)


def _say_what_is_missing(webui: WebUI) -> None:
    print("no module 'xformers'. Processing without...", flush=True)
    print("No module 'xformers'. Proceeding without it.", flush=True)
    if not webui.gpu.available:
        reason = "Found no NVIDIA driver on your system."
        print(f"Warning: caught exception '{reason}', memory monitor disabled", flush=True)


def _mind_signals() -> None:
    signal.signal(signal.SIGINT, _interrupted)
    if faults.now().get("slow_stop"):
        signal.signal(signal.SIGTERM, _terminated)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    print(f"Interrupted with signal {number} in {frame}", flush=True)
    time.sleep(float(faults.now().get("slow_stop", 0)))
    os._exit(0)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    time.sleep(float(faults.now().get("slow_stop", 0)))
    os._exit(128 + number)


if __name__ == "__main__":
    main()
