"""Give the WebUI its logins without a trace in argv, environment or `docker inspect`.

Python imports this before the program starts. The WebUI reads `--api-auth` from its arguments
only, and arguments show in every process list; changed here, they do not.
"""

import os
import sys

LOGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "login")


def _add_login() -> None:
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    if program not in ("webui.py", "launch.py"):
        return
    with open(LOGIN, encoding="utf-8") as file:
        login = file.read().strip()
    sys.argv += ["--gradio-auth", login]
    if "--api" in sys.argv:
        sys.argv += ["--api-auth", login]


_add_login()
