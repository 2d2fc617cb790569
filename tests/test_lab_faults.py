"""The lab's faults do what they say: registries, images, disks, clocks, GPUs, lost connections."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.lab import Lab, LabHost
from tests.lab.clock import fake_clock, jump_clock
from tests.lab.docker_root import small_docker_root
from tests.lab.faults import cut_ssh, healed, kill_process, kill_unit, restart_engine
from tests.lab.faulty import Faulty
from tests.lab.fingerprint import storage_fingerprint
from tests.lab.host import HostError
from tests.lab.poller import Poller
from tests.lab.standins import webui

pytestmark = pytest.mark.lab

NAME = "lab-41"
DISK = 300
"""MiB: the WebUI fits, another 100 MiB do not."""


@pytest.fixture(scope="module")
def host(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    """A host with Docker on a small disk, logged in at both registries."""
    hosts[NAME] = host = lab.fresh(NAME, os="debian13", user="root")
    assert small_docker_root(host, DISK) in ("loop", "tmpfs")
    install = "apt-get install -qq -y --no-install-recommends docker.io docker-cli"
    host.run(f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive {install}", check=True)
    for registry in (lab.record["registry"], lab.record["faulty_registry"]):
        trust = f"/etc/docker/certs.d/{registry['name']}/ca.crt"
        host.write(trust, Path(lab.record["ca"]).read_bytes())
        host.write("/etc/lab-password", Path(registry["password_file"]).read_bytes(), 0o600)
        login = f"docker login -u {registry['user']} --password-stdin {registry['name']}"
        host.run(f"{login} < /etc/lab-password", check=True)
    return host


@pytest.fixture
def faulty(lab: Lab) -> Iterator[Faulty]:
    lab.faulty.reset()
    yield lab.faulty
    lab.faulty.reset()


@pytest.fixture
def serving(lab: Lab, host: LabHost) -> Iterator[str]:
    """A WebUI of the stand-in's first version that answers; its URL."""
    image = lab.record["images"]["webui"]["v1"]
    run = "docker run -d --name webui --stop-signal KILL -p 7860:7860 -e CLI_ARGS=--api"
    host.run(f"{run} {image}", check=True)
    url = f"http://{host.address}:7860"
    wait_for(lambda: answers(f"{url}/internal/ping"))
    yield url
    host.run("docker rm -f webui", check=True)


def wait_for(done, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"did not come in {seconds} s"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def blob(lab: Lab, **headers: str) -> requests.Response:
    """One layer's answer from the faulty registry, as a client on this machine gets it."""
    at = lab.record["faulty_registry"]
    login = (at["user"], Path(at["password_file"]).read_text())
    url = f"{at['endpoint']}/v2/sd-webui/blobs/{webui.wrong_arch().layers[0].digest}"
    return requests.get(url, auth=login, verify=lab.record["ca"], timeout=5, headers=headers)


REFUSED = {
    "manifest-404": "manifest unknown",
    "429": "toomanyrequests",
    "500": "received unexpected HTTP status: 500",
    "corrupt": "verification failed for digest sha256:",
}


@pytest.mark.parametrize("mode", REFUSED)
def test_a_registry_that_misbehaves_fails_a_pull_until_it_is_well(
    mode: str, host: LabHost, faulty: Faulty
) -> None:
    image = faulty.reference("wrong-arch")
    faulty.set(mode, only="manifests" if mode == "500" else "", retry_after=7)
    assert REFUSED[mode] in host.run(f"docker pull {image}").err
    faulty.set("ok")
    host.run(f"docker pull {image} && docker rmi {image}", check=True)


def test_too_many_requests_say_when_to_come_again(lab: Lab, faulty: Faulty) -> None:
    faulty.set("429", times=1, retry_after=7, only="blobs")
    refused = blob(lab)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert blob(lab).status_code == 200


def test_a_cut_blob_can_be_had_from_where_it_ended(lab: Lab, faulty: Faulty) -> None:
    whole = blob(lab).content
    faulty.set("cut")
    with pytest.raises(requests.RequestException):
        blob(lab)
    rest = blob(lab, Range=f"bytes={len(whole) // 2}-")
    assert (rest.status_code, rest.content) == (206, whole[len(whole) // 2 :])
    assert [one.bytes for one in faulty.served()] == [
        len(whole), len(whole) // 2, len(whole) - len(whole) // 2
    ]  # fmt: skip


def test_a_truncated_blob_never_goes_past_its_half(lab: Lab, faulty: Faulty) -> None:
    whole = blob(lab).content
    faulty.set("truncate")
    for headers in ({}, {"Range": f"bytes={len(whole) // 2}-"}):
        with pytest.raises(requests.RequestException):
            blob(lab, **headers)
    assert [one.bytes for one in faulty.served()] == [len(whole), len(whole) // 2, 0]


def test_a_slow_pull_takes_as_long_as_told_and_its_bytes_are_counted(
    host: LabHost, faulty: Faulty
) -> None:
    image = faulty.reference("wrong-arch")
    faulty.set("slow", rate=1000)
    begun = time.monotonic()
    host.run(f"docker pull {image}", check=True)
    took, size = time.monotonic() - begun, faulty.bytes_served()
    assert size / 1000 <= took < size / 1000 + 3
    assert faulty.under_way() == 0
    assert host.run(f"docker rmi {image}").rc == 0


def test_an_image_for_another_architecture_is_pulled_and_does_not_start(
    lab: Lab, host: LabHost
) -> None:
    image = lab.record["images"]["webui"]["wrong-arch"]
    host.run(f"docker pull {image}", check=True)
    started = host.run(f"docker run --rm {image}")
    assert started.rc != 0
    assert "exec format error" in started.err
    listed = host.run(f"docker pull {lab.record['images']['webui']['wrong-arch-list']}")
    assert "no matching manifest for linux/" in listed.err


def test_versions_share_all_layers_but_the_last(lab: Lab) -> None:
    images = webui.images()
    first, others = images["v1"].layers, (images["v2"].layers, images["v3"].layers)
    assert all(layers[:-1] == first[:-1] and layers[-1] != first[-1] for layers in others)


def test_a_pull_runs_out_of_disk_and_the_disk_outlives_a_reboot(lab: Lab, host: LabHost) -> None:
    large = lab.push(webui.sized("disk", 100), "sized-disk-100")
    image = lab.record["images"]["webui"]["v1"]
    host.run(f"docker pull -q {image}", check=True)
    assert "no space left on device" in host.run(f"docker pull {large}").err
    host.reboot()
    size = "df --output=size -BM /var/lib/docker | tail -n 1 | tr -dc 0-9"
    assert int(host.run(size, check=True).out) <= DISK
    host.run(f"docker image inspect {image}", check=True)


def test_a_poller_measures_how_long_nothing_answered(host: LabHost, serving: str) -> None:
    with Poller(serving) as poller:
        time.sleep(0.5)
        begun = time.monotonic()
        host.run("docker stop webui && sleep 1 && docker start webui", check=True)
        wait_for(lambda: answers(f"{serving}/internal/ping"))
        took = time.monotonic() - begun
        time.sleep(0.3)
    assert 1 < poller.longest_gap() < took + 0.5
    assert poller.longest_pause() < 0.5


def test_a_container_that_ended_keeps_gpu_memory_for_a_while(host: LabHost, serving: str) -> None:
    query = "nvidia-smi --query-compute-apps=pid --format=csv,noheader"
    pids = [str(pid) for pid in host.hold_gpu_memory("webui", 3700, linger=2)]
    assert host.run(query).out.split() == pids
    assert len(pids) == 1
    host.run("docker stop webui", check=True)
    assert host.run(query).out.split() == pids
    used = "nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits"
    assert host.run(used).out == "3700\n"
    wait_for(lambda: not host.run(query).out, 4)


def test_a_slow_gpu_answers_late(host: LabHost) -> None:
    host.set_mode("slow", 0.5)
    begun = time.monotonic()
    assert host.run("nvidia-smi -L").rc == 0
    assert time.monotonic() - begun >= 0.5
    host.set_mode("ok")


def test_ssh_is_cut_and_heals_by_itself(lab: Lab, host: LabHost) -> None:
    options = (
        "-F none -o BatchMode=yes -o ConnectTimeout=1 -o IdentitiesOnly=yes -o "
        f"UserKnownHostsFile={lab.record['known_hosts']} -i {lab.record['key']}"
    )
    call = ["ssh", *options.split(), f"root@{host.address}", "true"]
    cut_ssh(host, 3)
    assert subprocess.run(call, capture_output=True, timeout=10).returncode == 255
    healed(host, 3)
    assert subprocess.run(call, capture_output=True, timeout=10).returncode == 0


def test_an_engine_is_restarted_or_killed_and_comes_back(host: LabHost) -> None:
    main = "systemctl show -p MainPID --value docker"
    before = host.run(main).out.strip()
    restart_engine(host)
    again = host.run(main).out.strip()
    assert again != before
    assert str(kill_unit(host, "docker")) == again
    wait_for(lambda: host.run("docker version").rc == 0)
    with pytest.raises(HostError, match="lab-none: has no process to kill"):
        kill_unit(host, "lab-none")


def test_a_process_is_killed_by_its_command_line(host: LabHost) -> None:
    host.run("systemd-run -q --collect --unit=lab-sleeper sleep 98.76", check=True)
    assert len(kill_process(host, "sleep 98.76")) == 1
    with pytest.raises(HostError, match=r"no process whose command line holds 'sleep 98\.76'"):
        kill_process(host, "sleep 98.76")


def test_the_clock_of_one_unit_jumps(host: LabHost) -> None:
    fake_clock(host, "lab-timed-")
    order = "systemd-run -q --collect --wait --pipe --unit=lab-timed-once sh -c"
    code = "date +%s; echo -7200 > /var/lib/gpuhost-lab/clock-offset; date +%s"
    jump_clock(host, 3600)
    ahead, behind = map(int, host.run(f"{order} '{code}'", check=True).out.split())
    now = int(host.run("date +%s").out)
    assert abs(ahead - now - 3600) < 5
    assert abs(behind - now + 7200) < 5


def test_a_fingerprint_covers_models_and_pictures(host: LabHost) -> None:
    for name in ("outputs/a b.png", "models/Lora/x.safetensors", "config.json"):
        host.write(f"/srv/storage/webui/{name}", name)
    found = storage_fingerprint(host, "/srv/storage")
    assert list(found) == ["webui/models/Lora/x.safetensors", "webui/outputs/a b.png"]
    host.write("/srv/storage/webui/outputs/a b.png", "changed")
    again = storage_fingerprint(host, "/srv/storage")
    assert [name for name in found if found[name] != again[name]] == ["webui/outputs/a b.png"]
    assert list(storage_fingerprint(host, "/srv/storage", "webui/config.json")) == [
        "webui/config.json"
    ]
