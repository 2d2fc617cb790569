"""What goes wrong in the middle: bad images, tampered packages, a killed run, a missing driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import ROOT, deploy, inventory, plan, run

pytestmark = pytest.mark.lab

SERVED, KILLED, DRIVERLESS = "lab-28", "lab-27", "lab-30"
REPOSITORY = "registry.gpuhost.test:5000/sd-webui"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def served(lab: Lab, hosts: dict[str, LabHost], site: Path) -> LabHost:
    """A host that is served, with GPUs through the hook, as engines without CDI have them."""
    hosts[SERVED] = host = lab.fresh(SERVED, os="debian13", gpus=[gpus.RTX_3060])
    done = deploy(site, SERVED, toolkit_gpu_access="hook")
    assert done.rc == 0, done.said
    return host


def test_the_hook_gives_the_container_its_gpu(served: LabHost) -> None:
    outside = served.run("nvidia-smi -L", check=True).out
    assert served.run("docker exec gpuhost-webui nvidia-smi -L", check=True).out == outside
    document = json.loads(served.run("cat /etc/docker/daemon.json").out)
    assert document["runtimes"]["nvidia"]["path"] == "nvidia-container-runtime"
    assert "features" not in document


def test_going_from_the_hook_to_cdi_is_a_restart_and_a_new_container(
    site: Path, served: LabHost
) -> None:
    found = plan(site, SERVED)
    assert found.rc == 2
    assert any("the engine must restart" in one["why"] for one in found.plan()[SERVED]["steps"])
    done = deploy(site, SERVED)
    assert done.rc == 0, done.said
    requests = served.run(
        "docker inspect -f '{{json .HostConfig.DeviceRequests}}' gpuhost-webui", check=True
    ).out
    assert json.loads(requests)[0]["DeviceIDs"] == ["nvidia.com/gpu=all"]


BAD_IMAGES = {
    "broken": "gate starts failed: the container does not stay up",
    "deaf": "gate answers failed",
    "no-picture": "gate picture failed",
}


@pytest.mark.parametrize("tag", BAD_IMAGES)
def test_a_release_that_fails_a_gate_fails_the_host_and_the_old_one_comes_back(
    tag: str, site: Path, served: LabHost
) -> None:
    before = served.run("docker inspect -f '{{.Config.Image}}' gpuhost-webui", check=True).out
    done = deploy(site, SERVED, image_reference=f"{REPOSITORY}:{tag}", gate_start_timeout=12)
    assert done.rc == 1
    assert BAD_IMAGES[tag] in done.said
    assert "rolled back: the old release runs and is proven again" in done.said
    assert "docker logs gpuhost-webui-failed" in done.said
    now = "docker inspect -f '{{.Config.Image}}' gpuhost-webui"
    assert served.run(now, check=True).out == before
    assert served.run("docker ps --format '{{.Names}}'").out.split() == ["gpuhost-webui"]
    assert served.run("docker inspect gpuhost-webui-failed").rc == 0
    assert f"{REPOSITORY}:{tag}:" not in site.with_suffix(".lock.yaml").read_text()


def test_what_failed_is_refused_from_then_on_until_somebody_lifts_it(
    site: Path, served: LabHost
) -> None:
    broken = {"image_reference": f"{REPOSITORY}:broken"}
    again = deploy(site, SERVED, **broken, gate_start_timeout=12)
    assert again.rc == 1
    assert "is in quarantine: gate starts failed" in again.said
    lifted = run(site, [SERVED], "-y", what="gpuhost.tasks.unquarantine", **broken)
    assert lifted.rc == 0, lifted.said
    assert "no longer in quarantine" in lifted.said
    assert served.run("cat /var/lib/gpuhost/instances/webui/quarantine.json").out.strip() == "[]"


def test_a_gpu_lost_inside_is_seen_and_the_container_recreated(site: Path, served: LabHost) -> None:
    assert deploy(site, SERVED).rc == 0
    served.run("docker exec -u 0 gpuhost-webui rm -f /dev/nvidiactl", check=True)
    found = plan(site, SERVED)
    assert [one["now"] for one in found.plan()[SERVED]["steps"]][:1] == ["lost its GPU"]
    done = deploy(site, SERVED)
    assert done.rc == 0, done.said


@pytest.mark.parametrize("tree", ["nvidia_tampered_apt", "nvidia_wrongkey_apt"])
def test_packages_that_were_tampered_with_or_signed_by_others_are_not_installed(
    tree: str, lab: Lab, site: Path, served: LabHost
) -> None:
    source = lab.record[tree]
    done = deploy(
        site, SERVED, toolkit_version="1.19.1-1", toolkit_apt_url=source["url"],
        toolkit_apt_key=source["key_url"], toolkit_apt_fingerprint=source["fingerprint"],
    )  # fmt: skip
    assert done.rc == 1
    version = "dpkg-query -W -f '${Version}' nvidia-container-toolkit"
    assert served.run(version).out == "1.20.0-1"
    assert served.run("docker ps -q --filter name=gpuhost-webui --filter health=healthy").out
    assert deploy(site, SERVED).rc == 0


def test_a_key_with_another_fingerprint_never_reaches_the_host(
    lab: Lab, site: Path, served: LabHost
) -> None:
    other = lab.record["docker_apt"]
    done = deploy(site, SERVED, toolkit_apt_key=other["key_url"], toolkit_apt_fingerprint="AB" * 20)
    assert done.rc == 1
    assert "should be the key " + "AB" * 20 in done.said
    assert deploy(site, SERVED).rc == 0


def test_a_run_that_is_killed_is_seen_through_by_the_next(
    lab: Lab, hosts: dict[str, LabHost], site: Path
) -> None:
    hosts[KILLED] = host = lab.fresh(KILLED, os="debian12", user="root", gpus=[gpus.RTX_4090])
    command = [sys.executable, "-m", "pyinfra", "-y", str(site), "deploy.py"]
    first = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "GPUHOST_LAB_HOSTS": KILLED},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    unpacking = (
        "tail -n 3 /run/gpuhost/packages.log 2>/dev/null | grep -q -e Unpacking -e 'Setting up'"
    )
    deadline = time.monotonic() + 120
    while host.run(unpacking).rc and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert host.run("systemctl is-active gpuhost-job-packages").out.strip() == "active"
    done = deploy(site, KILLED)
    assert done.rc == 0, done.said
    assert "an earlier run's work: started" in done.said
    assert plan(site, KILLED).rc == 0


def test_a_driver_is_installed_and_the_host_rebooted_only_when_asked_to(
    lab: Lab, hosts: dict[str, LabHost], site: Path
) -> None:
    hosts[DRIVERLESS] = host = lab.fresh(
        DRIVERLESS, os="debian13", gpus=[gpus.RTX_3060], driver=False
    )
    assert plan(site, DRIVERLESS).rc == 1
    source = lab.record["debian_nonfree_apt"]
    host.run("mkdir -p /etc/apt/keyrings", check=True)
    key = subprocess.run(
        [sys.executable, "-c", f"import urllib.request as r; import sys;"
         f" sys.stdout.buffer.write(r.urlopen({source['key_url']!r}).read())"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    host.write("/etc/apt/keyrings/nonfree.asc", key)
    managed = {
        "driver_manage": True, "driver_reboot": True, "driver_apt_url": source["url"],
        "driver_apt_keyring": "/etc/apt/keyrings/nonfree.asc",
        "driver_packages": ["nvidia-driver", "nvidia-smi"],
    }  # fmt: skip
    done = run(site, [DRIVERLESS], "-y", **managed)
    assert done.rc == 0, done.said
    assert host.run("nvidia-smi --query-gpu=driver_version --format=csv,noheader").out.startswith(
        "550.163.01"
    )
    assert run(site, [DRIVERLESS], "-y", **managed).rc == 0
