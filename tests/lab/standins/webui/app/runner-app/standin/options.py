"""/sdapi/v1/options: defaults, the file that keeps what was changed, and the model's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from standin.model import Model


class Options:
    """The options of the process; config.json exists only once an option was set."""

    def __init__(self, data: Path, model: Model) -> None:
        self.file = data / "config.json"
        self.model = model
        self.defaults: dict[str, Any] = {
            "samples_save": True,
            "samples_format": "png",
            "outdir_txt2img_samples": str(data / "outputs" / "txt2img-images"),
            "outdir_save": str(data / "log" / "images"),
            "sd_model_checkpoint": None,
            "sd_checkpoint_hash": "",
            "CLIP_stop_at_last_layers": 1,
            "sd_vae": "Automatic",
            "live_previews_enable": True,
            "show_progress_every_n_steps": 10,
        }
        self.changed: dict[str, Any] = {}
        if self.file.exists():
            self.changed = json.loads(self.file.read_text())

    def all(self) -> dict[str, Any]:
        """Every option; name and hash of the model come from the file before it is loaded."""
        found = {**self.defaults, **self.changed}
        if self.model.announced:
            found["sd_model_checkpoint"] = self.model.announced.title
        if self.model.loaded:
            found["sd_checkpoint_hash"] = self.model.loaded.sha256
        return found

    def set(self, changes: dict[str, Any]) -> None:
        """Change options and save them; an unknown name or model is an error."""
        for name in changes:
            if name not in self.defaults:
                raise KeyError(name)
        wanted = changes.get("sd_model_checkpoint")
        if wanted and not any(
            wanted in (c.title, c.path.name, c.path.stem) for c in self.model.checkpoints()
        ):
            raise RuntimeError(f"model {wanted!r} not found")
        self.changed |= changes
        current = self.all()
        self.changed["sd_model_checkpoint"] = current["sd_model_checkpoint"]
        self.changed["sd_checkpoint_hash"] = current["sd_checkpoint_hash"]
        self.file.write_text(json.dumps(self.changed, indent=4))
