"""The lab is what it claims to be: real hosts, SSH, apt, and a registry that asks for a login."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from tests.lab import Completed, HostError, Lab, LabHost, gpus

pytestmark = pytest.mark.lab

ROOT_HOST, SUDO_HOST = "lab-41", "lab-42"
REPOSITORIES = {
    "docker_apt": "Suites: {suite}\nComponents: stable",
    "nvidia_apt": "Suites: /",
    "debian_nonfree_apt": "Suites: {suite}\nComponents: non-free",
}


@pytest.fixture(scope="module")
def root_host(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[ROOT_HOST] = lab.fresh(ROOT_HOST, os="debian12", user="root", gpus=[gpus.RTX_4090])
    return hosts[ROOT_HOST]


@pytest.fixture(scope="module")
def sudo_host(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    cards = [gpus.RTX_3060, gpus.H200]
    hosts[SUDO_HOST] = lab.fresh(SUDO_HOST, os="debian13", user="operator", gpus=cards)
    return hosts[SUDO_HOST]


@pytest.fixture(params=[ROOT_HOST, SUDO_HOST])
def host(request: pytest.FixtureRequest, root_host: LabHost, sudo_host: LabHost) -> LabHost:
    return {root_host.name: root_host, sudo_host.name: sudo_host}[request.param]


def ssh(lab: Lab, host: LabHost, command: str, user: str = "") -> Completed:
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": lab.record["known_hosts"],
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityFile": lab.record["key"],
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    call = ["ssh", "-F", "none", *words, f"{user or host.user}@{host.address}", command]
    done = subprocess.run(call, capture_output=True, text=True, timeout=30, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


def add_repository(lab: Lab, host: LabHost, name: str, where: str = "") -> None:
    source = lab.record[where or name]
    architecture = host.run("dpkg --print-architecture", check=True).out.strip()
    suite = "trixie" if host.os == "debian13" else "bookworm"
    url = source["url"] + (f"/{architecture}" if name == "nvidia_apt" else "")
    host.write(f"/etc/apt/keyrings/{name}.asc", requests.get(source["key_url"], timeout=5).content)
    stanza = (
        f"Types: deb\nURIs: {url}\n{REPOSITORIES[name]}\nSigned-By: /etc/apt/keyrings/{name}.asc\n"
    )
    host.write(f"/etc/apt/sources.list.d/{name}.sources", stanza.format(suite=suite))


def test_a_host_is_bare_and_booted(host: LabHost) -> None:
    assert host.run("systemctl is-system-running").out.strip() == "running"
    assert host.run("cat /proc/1/comm").out.strip() == "systemd"
    for program in ("docker", "dockerd", "nvidia-ctk", "python3"):
        assert host.run(f"command -v {program}").rc != 0


def test_its_user_logs_in_by_key_with_strict_checking(lab: Lab, host: LabHost) -> None:
    answer = ssh(lab, host, "id -un; sudo -n id -u" if host.user != "root" else "id -un; id -u")
    assert (answer.rc, answer.out.split()) == (0, [host.user, "0"])


def test_a_host_with_a_sudoer_refuses_root(lab: Lab, sudo_host: LabHost) -> None:
    assert "Permission denied" in ssh(lab, sudo_host, "true", user="root").err


def test_a_host_with_another_key_is_refused(
    lab: Lab, root_host: LabHost, sudo_host: LabHost, tmp_path: Path
) -> None:
    forged = tmp_path / "known_hosts"
    forged.write_text(f"{root_host.address} {sudo_host.host_key()}\n")
    changed = Lab({**lab.record, "known_hosts": str(forged)})
    assert "Host key verification failed" in ssh(changed, root_host, "true").err


def test_services_have_names_on_the_hosts(host: LabHost) -> None:
    for name in ("packages.gpuhost.test", "registry.gpuhost.test"):
        assert host.run(f"getent hosts {name}").rc == 0


def test_apt_trusts_the_repositories_by_their_keys(lab: Lab, host: LabHost) -> None:
    for name in REPOSITORIES:
        add_repository(lab, host, name)
    update = host.run("apt-get update")
    assert (update.rc, update.err) == (0, "")
    shown = host.run("apt-cache madison docker-ce nvidia-container-toolkit nvidia-driver").out
    listed = {tuple(word.strip() for word in line.split("|")[:2]) for line in shown.splitlines()}
    toolkit = {("nvidia-container-toolkit", f"{v}-1") for v in ("1.17.8", "1.19.1", "1.20.0")}
    assert toolkit <= listed
    assert len([package for package, _ in listed if package == "docker-ce"]) == 2
    assert any(package == "nvidia-driver" for package, _ in listed)


def test_apt_refuses_another_signature_and_changed_packages(lab: Lab, root_host: LabHost) -> None:
    only = "-o Dir::Etc::SourceList=/etc/apt/sources.list.d/nvidia_apt.sources"
    only += " -o Dir::Etc::SourceParts=- --no-install-recommends -y"
    add_repository(lab, root_host, "nvidia_apt", "nvidia_wrongkey_apt")
    assert "NO_PUBKEY" in root_host.run(f"apt-get update {only} 2>&1").out
    add_repository(lab, root_host, "nvidia_apt", "nvidia_tampered_apt")
    assert root_host.run(f"apt-get update {only}").rc == 0
    package = root_host.run(f"apt-get install {only} nvidia-container-toolkit 2>&1")
    assert package.rc == 100
    assert "Hash Sum mismatch" in package.out


def test_the_registry_asks_for_a_login(lab: Lab) -> None:
    registry = lab.record["registry"]
    login = (registry["user"], Path(registry["password_file"]).read_text())
    call = {"verify": lab.record["ca"], "timeout": 5}
    url = f"{registry['endpoint']}/v2/sd-webui/tags/list"
    assert requests.get(url, **call).status_code == 401
    assert requests.get(url, auth=("lab", "guess"), **call).status_code == 401
    assert "v1" in requests.get(url, auth=login, **call).json()["tags"]


def test_an_engine_in_a_host_runs_an_image_of_the_registry(lab: Lab, sudo_host: LabHost) -> None:
    registry, image = lab.record["registry"], lab.record["images"]["probe"]
    install = "apt-get install -qq -y --no-install-recommends docker.io docker-cli"
    sudo_host.run(f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive {install}", check=True)
    trust = f"/etc/docker/certs.d/{registry['name']}/ca.crt"
    sudo_host.write(trust, Path(lab.record["ca"]).read_bytes())
    sudo_host.write("/etc/lab-password", Path(registry["password_file"]).read_bytes(), 0o600)
    assert "no basic auth credentials" in sudo_host.run(f"docker pull {image}").err
    login = f"docker login -u {registry['user']} --password-stdin {registry['name']}"
    sudo_host.run(f"{login} < /etc/lab-password", check=True)
    assert sudo_host.run(f"docker run --rm {image} echo served", check=True).out == "served\n"
    assert sudo_host.run("docker info -f '{{.Driver}}'").out.strip() == "overlay2"


def test_a_reboot_keeps_identity_engine_and_gpus(lab: Lab, sudo_host: LabHost) -> None:
    key = sudo_host.host_key()
    sudo_host.reboot()
    assert sudo_host.host_key() == key
    assert sudo_host.run("nvidia-smi -L").out.count("GPU-") == 2
    assert ssh(lab, sudo_host, "ls /sys/bus/pci/devices").out.split() == [
        "0000:01:00.0",
        "0000:01:00.1",
        "0000:02:00.0",
    ]


def test_a_driver_that_was_replaced_is_loaded_by_a_reboot(root_host: LabHost) -> None:
    root_host.set_gpus([gpus.RTX_4090], driver="580.126.09", loaded="575.57.08")
    assert root_host.run("nvidia-smi").rc == 18
    assert "575.57.08" in root_host.run("cat /proc/driver/nvidia/version").out
    root_host.reboot()
    assert root_host.run("nvidia-smi").rc == 0
    assert "580.126.09" in root_host.run("cat /proc/driver/nvidia/version").out


@pytest.mark.parametrize(
    ("mode", "rc"),
    [("nodriver", 9), ("nolib", 12), ("mismatch", 18), ("nodevices", 6), ("unknown", 255)],
)
def test_gpus_fail_as_told(root_host: LabHost, mode: str, rc: int) -> None:
    root_host.set_mode(mode)
    assert root_host.run("nvidia-smi").rc == rc
    root_host.set_mode("ok")
    assert root_host.run("nvidia-smi").rc == 0


def test_a_host_may_have_no_gpu_or_another_driver_for_it(root_host: LabHost) -> None:
    root_host.set_gpus([gpus.RTX_4090], driver=None, module="nouveau")
    holder = root_host.run("readlink /sys/bus/pci/devices/0000:01:00.0/driver").out.strip()
    assert holder.endswith("/nouveau")
    assert root_host.run("nvidia-smi").rc == 127
    root_host.set_gpus([], driver=None)
    assert root_host.run("ls /sys/bus/pci/devices").out == ""


def test_an_unknown_mode_is_refused_by_name(root_host: LabHost) -> None:
    with pytest.raises(HostError, match="mode: unknown, got 'broken', write one of ok, "):
        root_host.set_mode("broken")


def test_a_fresh_host_has_forgotten_everything(lab: Lab, sudo_host: LabHost) -> None:
    key = sudo_host.host_key()
    again = lab.fresh(SUDO_HOST, os="debian13", user="operator")
    assert again.host_key() != key
    assert again.run("ls -A /var/lib/docker").out == ""
    assert ssh(lab, again, "true").rc == 0
