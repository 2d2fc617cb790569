"""The process as a whole: its parts, and how far its start has come."""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path

from standin import faults
from standin.arguments import pairs, ui_logins
from standin.gpu import Gpu
from standin.jobs import Jobs
from standin.model import Model
from standin.options import Options

FOLDERS = (
    "extensions",
    *(f"models/{kind}" for kind in ("Codeformer", "GFPGAN", "Lora", "Stable-diffusion")),
    "models/hypernetworks",
)


class WebUI:
    """Everything that requests are answered from.

    `ready` names the groups of routes that are registered: pages first, then internal, then api.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.data = Path(args.data_dir).resolve()
        for folder in FOLDERS:
            (self.data / folder).mkdir(parents=True, exist_ok=True)
        settings = self.data / "ui-config.json"
        if not settings.exists():
            settings.write_text(json.dumps({"txt2img/Width/value": 512}, indent=4))
        if faults.now().get("rewrite_config"):
            (self.data / "config.json").write_text(json.dumps({"written_by": _version()}))
        self.gpu = Gpu()
        self.jobs = Jobs()
        self.model = Model(self.data)
        self.options = Options(self.data, self.model)
        self.api_logins = pairs(args.api_auth)
        self.ui_logins = ui_logins(args)
        self.tokens: dict[str, str] = {}
        self.app_id = secrets.randbits(63)
        self.ready: set[str] = set()
        self.early_requests = 0
        self.startup: dict[str, float] = {}


def _version() -> str:
    path = Path(__file__).parents[1] / "VERSION"
    return path.read_text().strip() if path.exists() else ""
