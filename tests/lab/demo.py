"""`make demo`: two bare hosts, one command, and a WebUI on each that answers."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.lab import Lab, tunnel
from tests.lab.places import STATE

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "inventories" / "lab.lock.yaml"
COMMAND = ["-m", "pyinfra", "-y", "inventories/lab.py", "deploy.py"]


def main() -> int:
    """Bring the lab up, deploy, and show that every address printed answers."""
    lab = Lab.up(2)
    # Of an earlier lab, whose registry held other digests.
    LOCK.unlink(missing_ok=True)
    print(f"\n$ pyinfra {' '.join(COMMAND[2:])}\n", flush=True)
    deployed = subprocess.run([sys.executable, *COMMAND], cwd=ROOT, check=False)
    if deployed.returncode:
        return deployed.returncode
    near, far = lab.host("lab-1"), lab.host("lab-2")
    tunnel.start(near.address)
    password = (STATE / "webui-password").read_text(encoding="utf-8")
    places = [
        (near.name, f"http://127.0.0.1:{tunnel.PORT}/", "", "through an SSH tunnel"),
        (far.name, f"http://{far.address}:7860/", f"painter:{password}", "login painter"),
    ]
    print()
    for name, url, login, how in places:
        seconds, picture = ask(url, login)
        print(f"{name}  {url}  answers ({how}); a {picture}-byte picture in {seconds:.1f} s")
    print(f"\nThe password of {far.name} is in {(STATE / 'webui-password').relative_to(ROOT)}.")
    print("Run it again, nothing changes:  .venv/bin/pyinfra -y inventories/lab.py deploy.py")
    print("See what it would do:           .venv/bin/pyinfra inventories/lab.py gpuhost.tasks.plan")
    print("Take everything away:           make lab-down")
    return 0


def ask(url: str, login: str) -> tuple[float, int]:
    """One picture from a WebUI: seconds it took and bytes of the PNG."""
    body = json.dumps({"prompt": "a red cube", "steps": 1, "width": 64, "height": 64}).encode()
    request = urllib.request.Request(url + "sdapi/v1/txt2img", body)
    request.add_header("Content-Type", "application/json")
    if login:
        pair = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        seconds = float(answer.headers.get("x-process-time", 0))
        document = json.loads(answer.read())
    picture = base64.b64decode(document["images"][0])
    if not picture.startswith(b"\x89PNG"):
        raise SystemExit(f"{url}: should answer with a PNG, got {picture[:16]!r}")
    return seconds, len(picture)


if __name__ == "__main__":
    sys.exit(main())
