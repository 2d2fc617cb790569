"""A host of the matrix: served, published with a login, with a user's files in its storage."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import Run, inventory, run
from tests.lab.docker_root import small_docker_root
from tests.lab.fingerprint import storage_fingerprint
from tests.lab.standins import webui

INSTANCE = "/var/lib/gpuhost/instances/webui"
JOURNAL = f"{INSTANCE}/journal.json"
STORAGE = "/srv/gpuhost/webui"
DATA = f"{STORAGE}/stable-diffusion-webui"
FAULTS = f"{STORAGE}/.faults.json"
CLIENT = "/etc/gpuhost/docker"
PICTURE = f"{DATA}/outputs/txt2img-images/2026-11-01/00001-1.png"
MODEL = f"{DATA}/models/Stable-diffusion/mine.safetensors"
CONFIG = f"{DATA}/config.json"
SETTINGS = b'{\n    "CLIP_stop_at_last_layers": 2\n}'
SMALL = "lab-33"
"""The host whose Docker has a small disk."""
DISK = 400
"""MiB of it: two releases fit, another 180 MiB do not."""
REGISTRY = threading.Lock()
"""Held by whoever lets the one faulty registry misbehave, or needs it well."""


class Unready(Exception):
    """A host does not stand as a case needs it."""


@dataclass
class Stand:
    """One host with an inventory of its own, whose lock moves with it."""

    lab: Lab
    host: LabHost
    site: Path

    @classmethod
    def kept(cls, lab: Lab, name: str, folder: Path) -> Stand:
        """A host that an earlier call has left."""
        return cls(lab, lab.host(name), folder / name / "site.py")

    @property
    def url(self) -> str:
        """Where its WebUI is polled."""
        return f"http://{self.host.address}:7860"

    @property
    def lock(self) -> Path:
        """Its inventory's lock."""
        return self.site.with_suffix(".lock.yaml")

    @property
    def reference(self) -> str:
        """What the inventory calls the image."""
        return self.lab.faulty.reference("nightly")

    def data(self, **more: Any) -> dict[str, Any]:
        """Settings of a run: the host pulls where faults are, this machine asks where none are."""
        at = self.lab.record["faulty_registry"]
        small = {"image_reserve_gb": 0} if self.host.name == SMALL else {}
        return {
            **small,
            "image_reference": self.reference,
            "image_registry_endpoint": self.lab.record["registry"]["endpoint"],
            "image_registry_user": at["user"],
            "image_registry_password_file": at["password_file"],
            "toolkit_probe_image": self.lab.faulty.reference("trixie-slim", "debian"),
            "webui_address": "0.0.0.0",
            "webui_user": "painter",
            "webui_password_file": str(Path(self.lab.record["ca"]).parent / "webui-password"),
            "gate_bake": 1,
            "gate_start_timeout": 40,
            "gate_picture_timeout": 30,
            "drain_timeout": 40,
            **more,
        }

    def verb(self, name: str, **more: Any) -> Run:
        """`pyinfra -y SITE gpuhost.tasks.NAME`, to its end."""
        what = f"gpuhost.tasks.{name}"
        return run(self.site, [self.host.name], "-y", what=what, **self.data(**more))

    def bootstrap(self) -> None:
        """From a bare host to the first proven release, with a user's files.

        :raises Unready: when that fails
        """
        done = run(self.site, [self.host.name], "-y", **self.data())
        if done.rc:
            raise Unready(f"{self.host.name}: cannot be bootstrapped:\n{done.said[-3000:]}")
        model = (webui.APP / "runner-app" / "tiny.safetensors").read_bytes()
        for path, content in {PICTURE: b"a picture", MODEL: model, CONFIG: SETTINGS}.items():
            self.host.write(path, content, owner="1000")
        self.host.run(f"chown -R 1000:1000 {DATA}/outputs {DATA}/models", check=True)

    def fingerprint(self) -> dict[str, str]:
        """The user's files, settings included."""
        name = str(Path(CONFIG).relative_to(STORAGE))
        return {**storage_fingerprint(self.host, STORAGE),
                **storage_fingerprint(self.host, STORAGE, name)}  # fmt: skip

    def faults(self, **faults: Any) -> None:
        """Order faults of whatever WebUI runs with this storage; without any, none."""
        if faults:
            self.host.write(FAULTS, json.dumps(faults), owner="1000")
        else:
            self.host.run(f"rm -f {FAULTS}", check=True)

    def fetch(self, reference: str) -> None:
        """Have an image on the host beforehand, so that a case's pull takes no time."""
        with REGISTRY:
            self.host.run(f"docker --config {CLIENT} pull -q {reference}", check=True)

    def well(self) -> None:
        """Take back every fault that can be taken back."""
        self.faults()
        self.host.set_mode("ok")
        self.host.run("rm -f /var/lib/gpuhost-lab/compute-apps*", check=True)


def make(lab: Lab, name: str, folder: Path) -> Stand:
    """A fresh host, bootstrapped."""
    host = lab.fresh(name, gpus=[gpus.RTX_4090])
    at = folder / name
    at.mkdir(parents=True)
    stand = Stand(lab, host, inventory(at))
    if name == SMALL:
        small_docker_root(host, DISK)
    stand.bootstrap()
    return stand


def push(lab: Lab, image: Any, tag: str) -> str:
    """Put an image into the registry; its name on hosts."""
    lab.push(image, tag)
    return lab.faulty.reference(tag, webui.REPOSITORY)
