"""From bare to served, then nothing, then every kind of drift: on real hosts of the lab."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.lab import Lab, LabHost, gpus
from tests.lab.demo import ask
from tests.lab.deploying import Run, deploy, inventory, plan, run
from tests.lab.places import STATE

pytestmark = pytest.mark.lab

ROOT_HOST, SUDO_HOST, NO_GPU = "lab-21", "lab-22", "lab-23"
FOREIGN_KEYS = {"max-concurrent-downloads": 7, "labels": ["owner=somebody"]}
MANAGED = "/etc/gpuhost /etc/apt/keyrings /etc/apt/sources.list.d /etc/apt/preferences.d \
/etc/docker /etc/systemd/system/docker.service.d /usr/local/lib/gpuhost /var/lib/gpuhost"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def root_host(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[ROOT_HOST] = host = lab.fresh(ROOT_HOST, os="debian12", user="root")
    host.write("/etc/docker/daemon.json", json.dumps(FOREIGN_KEYS))
    host.write("/srv/gpuhost/webui/outputs/mine.png", b"a picture of mine", owner="1000")
    host.write("/etc/apt/sources.list.d/somebody.sources.save", "# mine\n")
    return host


@pytest.fixture(scope="module")
def sudo_host(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[SUDO_HOST] = host = lab.fresh(
        SUDO_HOST, os="debian13", user="operator", gpus=[gpus.RTX_3060, gpus.RTX_4090]
    )
    return host


@pytest.fixture(scope="module")
def bootstrap(
    lab: Lab, hosts: dict[str, LabHost], site: Path, root_host: LabHost, sudo_host: LabHost
) -> Run:
    """Two bare hosts and one without a GPU, in one run."""
    hosts[NO_GPU] = lab.fresh(NO_GPU, os="debian12", gpus=[])
    return deploy(site, ROOT_HOST, SUDO_HOST, NO_GPU)


def inspected(host: LabHost, container: str, template: str) -> str:
    return host.run(f"docker inspect -f '{template}' {container}", check=True).out.strip()


def mtimes(host: LabHost) -> str:
    return host.run(f"find {MANAGED} -type f -printf '%T@ %p\\n' | sort", check=True).out


def test_a_host_without_gpu_is_refused_and_the_others_are_served(bootstrap: Run) -> None:
    assert bootstrap.rc == 1
    assert "no NVIDIA display controller on the PCI bus" in bootstrap.said
    assert bootstrap.said.count("healthy") == 2


def test_the_refused_host_was_not_touched(bootstrap: Run, hosts: dict[str, LabHost]) -> None:
    assert hosts[NO_GPU].run("command -v docker; ls /etc/gpuhost").out == ""


def test_the_loopback_default_answers_on_the_host_alone(bootstrap: Run, root_host: LabHost) -> None:
    ports = inspected(root_host, "gpuhost-webui", "{{json .HostConfig.PortBindings}}")
    assert json.loads(ports) == {"7860/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7860"}]}
    with pytest.raises(OSError):
        ask(f"http://{root_host.address}:7860/", "")


def test_an_open_address_asks_for_the_login(bootstrap: Run, sudo_host: LabHost) -> None:
    url = f"http://{sudo_host.address}:7860/"
    with pytest.raises(OSError, match="401"):
        ask(url, "")
    password = (STATE / "webui-password").read_text(encoding="utf-8")
    assert ask(url, f"painter:{password}")[1] > 100


def test_no_password_is_to_be_seen_on_the_host(bootstrap: Run, sudo_host: LabHost) -> None:
    secrets = [
        (STATE / name).read_text().strip() for name in ("webui-password", "registry-password")
    ]
    for secret in secrets:
        visible = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; docker inspect gpuhost-webui;"
        visible += "docker logs gpuhost-webui 2>&1; journalctl --no-pager; cat /run/gpuhost/*;"
        visible += (
            "cd /var/lib/gpuhost/instances/webui; cat journal.json request.json history.jsonl"
        )
        assert secret not in sudo_host.run(visible).out
        assert secret not in bootstrap.said
    modes = sudo_host.run(
        "stat -c '%a %n' /etc/gpuhost/docker/config.json /etc/gpuhost/instances/webui/*", check=True
    ).out
    assert {line.split()[0] for line in modes.splitlines()} == {"600", "400"}
    kept = sudo_host.run(
        "find /var/lib/gpuhost/instances -name release.json -printf '%m %u '", check=True
    ).out
    assert kept == "600 root "


def test_the_container_sees_exactly_the_hosts_gpus(bootstrap: Run, sudo_host: LabHost) -> None:
    outside = sudo_host.run("nvidia-smi -L", check=True).out
    assert sudo_host.run("docker exec gpuhost-webui nvidia-smi -L", check=True).out == outside
    assert outside.count("GPU ") == 2


def test_what_others_put_there_is_still_there(bootstrap: Run, root_host: LabHost) -> None:
    document = json.loads(root_host.run("cat /etc/docker/daemon.json", check=True).out)
    assert FOREIGN_KEYS.items() <= document.items()
    assert document["features"] == {"cdi": True}
    assert root_host.run("cat /srv/gpuhost/webui/outputs/mine.png").out == "a picture of mine"
    assert root_host.run("cat /etc/apt/sources.list.d/somebody.sources.save").out == "# mine\n"


def test_the_second_run_changes_nothing_and_asks_once(
    bootstrap: Run, site: Path, root_host: LabHost, sudo_host: LabHost
) -> None:
    served = (root_host, sudo_host)
    before = [(mtimes(h), inspected(h, "gpuhost-webui", "{{.State.StartedAt}}")) for h in served]
    again = run(site, (ROOT_HOST, SUDO_HOST), "-y", "--debug")
    assert again.rc == 0
    assert "Starting operation" not in again.said
    assert [again.commands(host) for host in (ROOT_HOST, SUDO_HOST)] == [1, 1]
    after = [(mtimes(h), inspected(h, "gpuhost-webui", "{{.State.StartedAt}}")) for h in served]
    assert after == before


def test_the_plan_is_empty_and_exits_with_0(bootstrap: Run, site: Path) -> None:
    found = plan(site, ROOT_HOST, SUDO_HOST)
    assert found.rc == 0
    assert found.plan() == {name: {"steps": [], "refusals": []} for name in (ROOT_HOST, SUDO_HOST)}


@pytest.fixture(scope="module")
def foreign_container(bootstrap: Run, root_host: LabHost) -> str:
    """A container of somebody else's, started before anything drifts."""
    image = inspected(root_host, "gpuhost-webui", "{{.Image}}")
    root_host.run(f"docker run -d --name theirs --entrypoint sleep {image} 100000", check=True)
    return inspected(root_host, "theirs", "{{.State.StartedAt}}")


DRIFTS = {
    "the toolkit source is deleted": (
        "rm /etc/apt/sources.list.d/gpuhost-nvidia-container-toolkit.sources", "nvidia source"),
    "the engine's key is replaced": (
        "cp /etc/apt/keyrings/nvidia-container-toolkit.asc /etc/apt/keyrings/docker.asc",
        "docker key"),
    "daemon.json loses CDI": (
        "echo '{\"labels\": [\"owner=somebody\"]}' >/etc/docker/daemon.json", "daemon.json"),
    "the container is stopped": ("docker stop gpuhost-webui", "instance webui"),
    "the compose file is edited": (
        "sed -i s/7860:7860/7861:7860/ /etc/gpuhost/instances/webui/compose.yaml",
        "instance webui"),
    "container and image are removed": (
        "docker rm -f gpuhost-webui theirs; docker image prune -af", "instance webui"),
    "the toolkit is upgraded by hand": (
        "rm /etc/apt/preferences.d/gpuhost-*; apt-get update -qq; apt-get install -qq -y"
        " --allow-downgrades nvidia-container-toolkit{,-base}=1.19.1-1"
        " libnvidia-container{-tools,1}=1.19.1-1", "toolkit"),
    "storage is opened to the world": ("chmod 777 /srv/gpuhost/webui", "storage"),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_named_and_mended(
    drift: str, site: Path, root_host: LabHost, foreign_container: str
) -> None:
    command, subject = DRIFTS[drift]
    root_host.run(f"bash -c {shlex.quote(command)}", check=True)
    found = plan(site, ROOT_HOST)
    assert found.rc == 2
    assert any(subject in step["subject"] for step in found.plan()[ROOT_HOST]["steps"])
    mended = deploy(site, ROOT_HOST)
    assert mended.rc == 0, mended.said
    assert plan(site, ROOT_HOST).rc == 0


def test_a_foreign_container_outlives_a_restart_of_the_engine(
    bootstrap: Run, site: Path, root_host: LabHost
) -> None:
    image = inspected(root_host, "gpuhost-webui", "{{.Image}}")
    root_host.run(f"docker run -d --name other --entrypoint sleep {image} 100000", check=True)
    root_host.run(f"docker tag {image} somebodys/own:1", check=True)
    started = inspected(root_host, "other", "{{.State.StartedAt}}")
    root_host.run("echo '{}' >/etc/docker/daemon.json", check=True)
    assert deploy(site, ROOT_HOST).rc == 0
    assert inspected(root_host, "other", "{{.State.StartedAt}} {{.State.Running}}") == (
        f"{started} true"
    )
    assert root_host.run("docker image ls -q somebodys/own:1").out.strip()


def test_after_a_reboot_everything_is_served_and_nothing_is_to_do(
    bootstrap: Run, site: Path, sudo_host: LabHost
) -> None:
    sudo_host.reboot()
    sudo_host.run(
        "for _ in $(seq 60); do"
        ' [ "$(docker inspect -f "{{.State.Health.Status}}" gpuhost-webui)" = healthy ] && exit;'
        " sleep 0.5; done; exit 1",
        check=True,
    )
    found = plan(site, SUDO_HOST)
    assert found.plan()[SUDO_HOST] == {"steps": [], "refusals": []}


def test_two_instances_share_a_host_by_gpu(bootstrap: Run, site: Path, sudo_host: LabHost) -> None:
    uuid = sudo_host.run("nvidia-smi -i 1 --query-gpu=uuid --format=csv,noheader").out.strip()
    two = [
        {"name": "first", "gpus": [0], "port": 7860, "flags": "--api"},
        {"name": "second", "gpus": [uuid], "port": 7861, "flags": "--api --lowvram"},
    ]
    both = deploy(site, SUDO_HOST, webui_instances=two)
    assert both.rc == 0, both.said
    seen = sudo_host.run("docker exec gpuhost-second nvidia-smi -L", check=True).out
    assert uuid in seen
    assert seen.count("GPU ") == 1
    assert sudo_host.run("docker ps --format '{{.Names}}'").out.split() == [
        "gpuhost-second",
        "gpuhost-first",
    ]
    assert deploy(site, SUDO_HOST).rc == 0
    assert sudo_host.run("docker ps --format '{{.Names}}'").out.split() == ["gpuhost-webui"]
    assert sudo_host.run("ls /srv/gpuhost").out.split() == ["first", "second", "webui"]
