"""A tag that moves, and what the verbs make of it: on a real host of the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import Run, deploy, inventory, plan, run
from tests.lab.oci import Registry
from tests.lab.standins import webui

pytestmark = pytest.mark.lab

HOST = "lab-29"
TAG = "updates"
REFERENCE = f"{webui.NAME}/{webui.REPOSITORY}:{TAG}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def host(lab: Lab, hosts: dict[str, LabHost], site: Path) -> LabHost:
    """A host that runs the first version."""
    move(lab, "v1")
    hosts[HOST] = found = lab.fresh(HOST, os="debian13", gpus=[gpus.RTX_4090])
    done = deploy(site, HOST, image_reference=REFERENCE)
    assert done.rc == 0, done.said
    found.write("/srv/gpuhost/webui/outputs/mine.png", b"a picture of mine", owner="1000")
    return found


def move(lab: Lab, version: str) -> str:
    """Let the tag mean another version; its digest."""
    there = lab.record["registry"]
    password = Path(there["password_file"]).read_text(encoding="utf-8").strip()
    registry = Registry(there["endpoint"], lab.record["ca"], there["user"], password)
    return registry.push(webui.images()[version], webui.REPOSITORY, TAG)


def verb(site: Path, name: str, **data: Any) -> Run:
    """`pyinfra -y INVENTORY gpuhost.tasks.NAME`."""
    return run(site, [HOST], "-y", what=f"gpuhost.tasks.{name}", image_reference=REFERENCE, **data)


def lock(site: Path) -> dict[str, Any]:
    """The lock as it lies on the disk."""
    found: dict[str, Any] = yaml.safe_load(site.with_suffix(".lock.yaml").read_text())
    return found


def running(host: LabHost) -> str:
    """The digest that runs."""
    image = host.run("docker inspect -f '{{.Config.Image}}' gpuhost-webui", check=True).out
    return image.strip().partition("@")[2]


def ended(host: LabHost) -> dict[str, Any]:
    """The last line of the host's history."""
    lines = host.run("cat /var/lib/gpuhost/instances/webui/history.jsonl", check=True).out
    found: dict[str, Any] = json.loads(lines.splitlines()[-1])
    return found


def test_a_deploy_stays_where_the_lock_is(lab: Lab, site: Path, host: LabHost) -> None:
    before = running(host)
    move(lab, "v2")
    done = deploy(site, HOST, image_reference=REFERENCE)
    assert done.rc == 0, done.said
    assert running(host) == before == lock(site)["images"][REFERENCE]["digest"]


def test_an_update_follows_the_tag_and_the_lock_follows_the_update(
    lab: Lab, site: Path, host: LabHost
) -> None:
    before, wanted = running(host), move(lab, "v2")
    done = verb(site, "update")
    assert done.rc == 0, done.said
    assert f"The lock has moved: {REFERENCE}" in done.said
    assert running(host) == lock(site)["images"][REFERENCE]["digest"] == wanted
    assert lock(site)["history"][REFERENCE][0]["digest"] == before
    assert ended(host)["state"] == "committed"
    assert ended(host)["kind"] == "update"
    assert verb(site, "update").said.count("Starting operation") == 0


def test_a_busy_webui_is_left_alone_and_the_run_is_no_failure(
    lab: Lab, site: Path, host: LabHost
) -> None:
    before = running(host)
    move(lab, "v3")
    host.write("/srv/gpuhost/webui/.faults.json", json.dumps({"busy": 60}), owner="1000")
    done = verb(site, "update", drain_timeout=2)
    host.write("/srv/gpuhost/webui/.faults.json", "{}", owner="1000")
    assert done.rc == 0, done.said
    assert "skipped: busy" in done.said
    assert f"{HOST} skipped" in done.said
    assert running(host) == before == lock(site)["images"][REFERENCE]["digest"]
    assert ended(host)["state"] == "skipped"
    assert host.run("docker ps -a --format '{{.Names}}'").out.split() == ["gpuhost-webui"]


def test_a_busy_webui_is_stopped_when_that_is_asked_for(
    lab: Lab, site: Path, host: LabHost
) -> None:
    wanted = move(lab, "v3")
    done = verb(site, "update", drain_timeout=1, drain_on_timeout="force")
    assert done.rc == 0, done.said
    assert running(host) == wanted
    assert "stopped all the same: busy" in " ".join(ended(host)["notes"])


def test_a_bad_image_is_undone_remembered_and_not_tried_again(
    lab: Lab, site: Path, host: LabHost
) -> None:
    before, bad = running(host), move(lab, "rewrites-config")
    host.write(
        "/srv/gpuhost/webui/stable-diffusion-webui/config.json", '{"mine": true}', owner="1000"
    )
    failed = verb(site, "update")
    assert failed.rc == 1
    assert "gate picture failed" in failed.said
    assert "rolled back: the old release runs and is proven again" in failed.said
    assert "The lock stays as it is" in failed.said
    assert running(host) == before == lock(site)["images"][REFERENCE]["digest"]
    assert [one["digest"] for one in lock(site)["quarantine"]] == [bad]
    config = "/srv/gpuhost/webui/stable-diffusion-webui/config.json"
    assert "mine" in json.loads(host.run(f"cat {config}", check=True).out)
    again = verb(site, "update")
    assert again.rc == 0, again.said
    assert "which is in quarantine (gate picture failed on lab-29" in again.said
    assert running(host) == before


def test_going_back_needs_no_network_and_takes_the_lock_along(
    lab: Lab, site: Path, host: LabHost
) -> None:
    before = running(host)
    earlier = lock(site)["history"][REFERENCE][0]["digest"]
    unreachable = {"image_registry_endpoint": "https://127.0.77.254:1"}
    host.run("iptables -I OUTPUT -p tcp --dport 5000 -j REJECT", check=True)
    done = verb(site, "rollback", **unreachable)
    host.run("iptables -D OUTPUT -p tcp --dport 5000 -j REJECT", check=True)
    assert done.rc == 0, done.said
    assert "The lock has moved back" in done.said
    assert running(host) == lock(site)["images"][REFERENCE]["digest"] == earlier
    assert before in [one["digest"] for one in lock(site)["quarantine"]]
    assert plan(site, HOST, image_reference=REFERENCE).rc == 0


def test_a_reverted_lock_and_a_deploy_go_back_too(lab: Lab, site: Path, host: LabHost) -> None:
    assert verb(site, "unquarantine").rc == 0
    text = site.with_suffix(".lock.yaml").read_text()
    before, wanted = running(host), move(lab, "v3")
    assert verb(site, "update").rc == 0
    assert running(host) == wanted
    site.with_suffix(".lock.yaml").write_text(text)
    done = deploy(site, HOST, image_reference=REFERENCE)
    assert done.rc == 0, done.said
    assert running(host) == before


def test_the_cycle_updates_prunes_and_tells(
    lab: Lab, site: Path, host: LabHost, tmp_path: Path
) -> None:
    wanted = move(lab, "v3")
    told = tmp_path / "verdict.json"
    done = verb(site, "cycle", cycle_notify=f"tee {told}", prune_keep=1)
    assert done.rc == 0, done.said
    verdict = json.loads(told.read_text())
    assert verdict["outcome"] == "updated"
    assert verdict["hosts"][HOST]["to"] == wanted == running(host)
    assert verdict["hosts"][HOST]["downtime"] > 0
    lines = [line for line in done.out.splitlines() if line.startswith(("site cycle", HOST))]
    assert lines[0].startswith("site cycle: updated (")
    digests = host.run("docker image ls --digests --format '{{.Digest}}'", check=True).out.split()
    assert wanted in digests
    assert lock(site)["history"][REFERENCE][0]["digest"] in digests


def test_status_and_history_say_what_happened(site: Path, host: LabHost) -> None:
    status = run(
        site, [HOST], what="gpuhost.tasks.status", image_reference=REFERENCE, format="json"
    )
    assert status.rc == 0, status.said
    assert HOST in json.loads(status.out)
    told = run(site, [HOST], what="gpuhost.tasks.history", image_reference=REFERENCE)
    assert told.rc == 0, told.said
    assert [word in told.out for word in ("rolled back", "skipped", "committed", "cycle")] == (
        [True] * 4
    )


def test_the_users_picture_is_what_it_was(host: LabHost) -> None:
    assert host.run("cat /srv/gpuhost/webui/outputs/mine.png").out == "a picture of mine"
