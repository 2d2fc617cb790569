"""Hosts that cannot be served are refused in words, and left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import Run, deploy, inventory, plan

pytestmark = pytest.mark.lab

BARE, OTHER = "lab-24", "lab-26"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def bare(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    """A bare Debian 12: nothing in this module may change it."""
    hosts[BARE] = host = lab.fresh(BARE, os="debian12", gpus=[gpus.RTX_4090])
    return host


@pytest.fixture(scope="module")
def trixie(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[OTHER] = host = lab.fresh(OTHER, os="debian13", gpus=[gpus.TITAN_XP])
    return host


def refused(run: Run, host: LabHost) -> str:
    assert run.rc == 1
    found = run.plan()[host.name]
    assert found["steps"] == []
    return " | ".join(
        f"{line['subject']}: {line['found']}: {line['remedy']}" for line in found["refusals"]
    )


MODES = {
    "nodriver": "couldn't communicate with the NVIDIA driver",
    "nolib": "couldn't find libnvidia-ml.so",
    "mismatch": "reboot this host",
    "nodevices": "No devices were found",
    "unknown": "Unknown Error",
    "lost": "a GPU fell off the bus",
    "hang": "wedged",
}


@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_that_fails_is_refused_for_what_it_is(mode: str, site: Path, bare: LabHost) -> None:
    bare.set_mode(mode)
    try:
        assert MODES[mode] in refused(plan(site, BARE), bare)
    finally:
        bare.set_mode("ok")


def test_nouveau_is_refused_with_the_commands_for_debian(site: Path, bare: LabHost) -> None:
    bare.set_gpus([gpus.RTX_4090], driver=False, module="nouveau")
    try:
        said = refused(plan(site, BARE), bare)
        assert "nouveau" in said
        assert "apt-get install -y linux-headers-amd64 nvidia-driver nvidia-smi" in said
        assert "driver_manage = True" in said
    finally:
        bare.set_gpus([gpus.RTX_4090])
        bare.run("cp /var/lib/gpuhost-lab/nvidia-smi /usr/bin/nvidia-smi")


REFUSALS = {
    "an image that needs a newer CUDA": (
        {"image_reference": "registry.gpuhost.test:5000/sd-webui:needs-newer-cuda"}, "cuda>=14.0"),
    "an image that does not exist": (
        {"image_reference": "registry.gpuhost.test:5000/sd-webui:never-built"}, "never-built"),
    "a disk that is too small": ({"image_reserve_gb": 1_000_000}, "GiB reserve"),
    "a disk too small for storage": ({"storage_reserve_gb": 1_000_000}, "storage_reserve_gb"),
    "compose v2 from a distribution without": ({"engine_source": "distro"}, "no Docker Compose v2"),
    "no engine where one should be": ({"engine_source": "present"}, "no engine is installed"),
    "a GPU that is not there": (
        {"webui_instances": [{"name": "webui", "gpus": [3], "flags": "--api"}]},
        "there is no GPU 3"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSALS)
def test_settings_that_this_host_cannot_meet_are_refused(
    reason: str, site: Path, bare: LabHost
) -> None:
    data, words = REFUSALS[reason]
    assert words in refused(plan(site, BARE, **data), bare)  # type: ignore[arg-type]


def test_a_port_that_is_taken_is_refused(site: Path, bare: LabHost) -> None:
    assert "port 0.0.0.0:22 is taken" in refused(
        plan(site, BARE, webui_instances=[{"name": "webui", "port": 22, "flags": "--api"}]), bare
    )


def test_a_card_that_the_image_holds_no_code_for_is_refused(site: Path, trixie: LabHost) -> None:
    said = refused(plan(site, OTHER), trixie)
    assert "TITAN Xp" in said
    assert "6.1" in said


def test_conflicting_packages_are_named_and_refused(site: Path, trixie: LabHost) -> None:
    trixie.set_gpus([gpus.RTX_3060])
    trixie.run(
        "apt-get update -qq; apt-get install -qq -y --no-install-recommends runc", check=True
    )
    said = refused(plan(site, OTHER, engine_source="docker"), trixie)
    assert "runc is installed" in said
    assert "engine_replace = True" in said


def test_a_daemon_json_that_is_not_json_is_refused_and_kept(site: Path, bare: LabHost) -> None:
    bare.write("/etc/docker/daemon.json", '{"debug": true,}')
    try:
        assert "daemon.json" in refused(plan(site, BARE), bare)
        assert deploy(site, BARE).rc == 1
        assert bare.run("cat /etc/docker/daemon.json").out == '{"debug": true,}'
    finally:
        bare.run("rm -r /etc/docker")


def test_after_all_these_refusals_the_host_is_still_bare(site: Path, bare: LabHost) -> None:
    assert (
        bare.run("ls -d /etc/gpuhost /etc/docker /var/lib/gpuhost /usr/local/lib/gpuhost").out == ""
    )
    assert bare.run("command -v docker nvidia-ctk python3").out == ""
