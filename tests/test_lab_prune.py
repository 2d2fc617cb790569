"""Prune on a real engine: what is not ours survives, the way back survives, the rest goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import Run, deploy, inventory, run

pytestmark = pytest.mark.lab

HOST = "lab-45"
REPOSITORY = "registry.gpuhost.test:5000/sd-webui"
QUICK = {"gate_bake": 0, "gate_start_timeout": 30}
RECORDS = "/var/lib/gpuhost/instances/webui"
FOREIGN = """set -eu
docker volume create theirs
probe=$(docker image ls --quiet registry.gpuhost.test:5000/debian | head -n 1)
docker tag "$probe" theirs:1
docker run --detach --name their-service theirs:1 sleep infinity
docker run --name their-data --volume /data theirs:1 true
docker commit --change 'LABEL org.gpuhost.instance=webui' their-data
docker network create --label com.docker.compose.project=gpuhost-website gpuhost-website_default
docker create --name their-debugging $(docker inspect -f '{{.Config.Image}}' gpuhost-webui) true
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def served(lab: Lab, hosts: dict[str, LabHost], site: Path) -> LabHost:
    """A host that ran v1, v2 and v3, and whose update to another image failed."""
    hosts[HOST] = host = lab.fresh(HOST, os="debian13", gpus=[gpus.RTX_3060])
    for tag in ("v1", "v2", "v3"):
        done = deploy(site, HOST, image_reference=f"{REPOSITORY}:{tag}", **QUICK)
        assert done.rc == 0, done.said
        if tag == "v1":
            host.run(FOREIGN, check=True)
    assert deploy(site, HOST, image_reference=f"{REPOSITORY}:no-picture", **QUICK).rc == 1
    return host


def verb(site: Path, name: str, *words: str, **data: object) -> Run:
    settings = {"image_reference": f"{REPOSITORY}:v3", **QUICK, **data}
    return run(site, [HOST], "-y", *words, what=f"gpuhost.tasks.{name}", **settings)


def held(host: LabHost) -> dict[str, set[str]]:
    """Names of everything that the engine and the records hold."""
    asked = {
        "images": "docker image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'",
        "containers": "docker ps --all --format '{{.Names}}'",
        "volumes": "docker volume ls --quiet",
        "networks": "docker network ls --format '{{.Name}}'",
        "releases": f"ls {RECORDS}/releases",
    }
    return {key: set(host.run(line, check=True).out.splitlines()) for key, line in asked.items()}


def test_a_dry_run_lists_and_changes_nothing(site: Path, served: LabHost) -> None:
    before = held(served)
    done = verb(site, "prune", "--dry", prune_keep_failed_days=0)
    assert done.rc == 0, done.said
    assert "goes   container  gpuhost-webui-failed" in done.out
    assert "their-debugging uses it" in done.out
    assert held(served) == before


def test_what_failed_lately_stays(site: Path, served: LabHost) -> None:
    done = verb(site, "prune", format="json")
    assert done.rc == 0, done.said
    (removed,) = json.loads(done.out)[HOST]["removed"]
    assert removed["kind"] == "release"
    assert "gpuhost-webui-failed" in held(served)["containers"]


def test_what_is_not_ours_survives_and_the_rest_goes(site: Path, served: LabHost) -> None:
    before = held(served)
    storage = served.run("find /srv/gpuhost -type f | sort").out
    done = verb(site, "prune", prune_keep=1, prune_keep_failed_days=0, format="json")
    assert done.rc == 0, done.said
    found = json.loads(done.out)[HOST]
    assert {one["outcome"] for one in found["done"]} == {"removed"}
    after = held(served)
    assert before["containers"] - after["containers"] == {"gpuhost-webui-failed"}
    assert before["volumes"] == after["volumes"]
    gone = before["images"] - after["images"]
    assert len(gone) == 1, gone
    assert next(iter(gone)).partition(" ")[2].startswith(f"{REPOSITORY}:gpuhost-")
    assert "gpuhost-website_default" in after["networks"]
    assert len(before["networks"] - after["networks"]) == 1
    assert len(after["releases"]) == 2
    assert served.run("find /srv/gpuhost -type f | sort").out == storage


def test_a_second_prune_finds_nothing(site: Path, served: LabHost) -> None:
    done = verb(site, "prune", prune_keep=1, prune_keep_failed_days=0)
    assert done.rc == 0, done.said
    assert f"{HOST}: nothing to prune" in done.out


def test_status_and_history_tell_what_happened(site: Path, served: LabHost) -> None:
    found = json.loads(verb(site, "status", format="json").out)[HOST]["instances"][0]
    assert (found["health"], found["gpus"], found["busy"]) == ("healthy", 1, "idle")
    assert (found["proven"], found["last"]["state"]) == (2, "rolled back")
    entries = json.loads(verb(site, "history", format="json").out)[HOST]
    assert [one["state"] for one in entries] == ["rolled back", *["committed"] * 3]


def test_a_host_whose_engine_is_down_is_left_alone(site: Path, served: LabHost) -> None:
    served.run("systemctl stop docker.socket docker", check=True)
    done = verb(site, "prune")
    assert done.rc == 1
    assert f"{HOST}: down: nothing answers" in done.out
    assert "image prune failed: down: nothing answers" in done.err
    assert verb(site, "status").rc != 0
    served.run("systemctl start docker", check=True)
