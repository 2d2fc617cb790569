"""The lab's hosts, as `python -m tests.lab up` wrote them down. Odd hosts are Debian 12."""

import json
import os
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError

_FOLDER = Path(__file__).resolve().parent.parent / ".lab"
_RECORD = _FOLDER / "lab.json"
_DEMO = ["lab-1", "lab-2"]
_CHOSEN = os.environ.get("GPUHOST_LAB_HOSTS", "").split() or _DEMO

if not _RECORD.exists():
    raise PyinfraError("the lab is not up: run make lab")
_LAB = json.loads(_RECORD.read_text(encoding="utf-8"))
if _unknown := set(_CHOSEN) - {_entry["name"] for _entry in _LAB["hosts"]}:
    raise PyinfraError(
        f"GPUHOST_LAB_HOSTS: should name hosts of the lab, got {' '.join(sorted(_unknown))}"
        " (python -m tests.lab status lists them)"
    )


def _access(entry):
    return {
        "ssh_hostname": entry["address"],
        "ssh_user": entry["user"],
        "ssh_key": _LAB["key"],
        "ssh_known_hosts_file": _LAB["known_hosts"],
        "_sudo": entry["user"] != "root",
    }


def _exposure(entry):
    """Debian 12 hosts show the loopback default, the others an open address with a login."""
    if entry["os"] == "debian12":
        return {"engine_source": "docker"}
    return {
        "engine_source": "distro",
        "webui_address": "0.0.0.0",
        "webui_user": "painter",
        "webui_password_file": str(_FOLDER / "webui-password"),
    }


lab = (
    [
        (entry["name"], {**_access(entry), **_exposure(entry)})
        for entry in _LAB["hosts"]
        if entry["name"] in _CHOSEN
    ],
    {
        "engine_apt_url": _LAB["docker_apt"]["url"],
        "engine_apt_key": _LAB["docker_apt"]["key_url"],
        "engine_apt_fingerprint": _LAB["docker_apt"]["fingerprint"],
        "toolkit_apt_url": _LAB["nvidia_apt"]["url"],
        "toolkit_apt_key": _LAB["nvidia_apt"]["key_url"],
        "toolkit_apt_fingerprint": _LAB["nvidia_apt"]["fingerprint"],
        "toolkit_probe_image": _LAB["images"]["probe"],
        "image_reference": _LAB["images"]["webui"]["nightly"],
        "image_registry_endpoint": _LAB["registry"]["endpoint"],
        "image_registry_user": _LAB["registry"]["user"],
        "image_registry_password_file": _LAB["registry"]["password_file"],
        "image_registry_ca": _LAB["ca"],
        "image_reserve_gb": 1,
        "storage_reserve_gb": 1,
        "gate_start_timeout": 90,
        "gate_picture_timeout": 60,
        "gate_bake": 2,
        "drain_timeout": 60,
    },
)
