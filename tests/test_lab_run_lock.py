"""One run that changes hosts at a time, and a timer that starts one, on real hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gpuhost import holder, timers
from gpuhost.cycle import Cycle
from gpuhost.timers import Units
from tests.lab import Lab, LabHost, gpus
from tests.lab.deploying import ROOT, deploy, inventory, plan

pytestmark = pytest.mark.lab

ONE, OTHER = "lab-43", "lab-44"
LOCK = "/run/gpuhost/run.lock"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inventory(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def one(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[ONE] = host = lab.fresh(ONE, gpus=[gpus.RTX_3060])
    return host


@pytest.fixture(scope="module")
def other(lab: Lab, hosts: dict[str, LabHost]) -> LabHost:
    hosts[OTHER] = host = lab.fresh(OTHER, gpus=[gpus.RTX_3060])
    return host


@contextmanager
def running(site: Path, host: LabHost) -> Iterator[subprocess.Popen[str]]:
    """A run of deploy.py that holds a host."""
    command = [sys.executable, "-m", "pyinfra", "-y", str(site), "deploy.py"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "GPUHOST_LAB_HOSTS": host.name}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        within(60, lambda: locked(host) or process.poll() is not None)
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def within(seconds: float, true: object) -> None:
    """Wait until something is true."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def locked(host: LabHost) -> bool:
    return host.run(f"test -e {LOCK}").rc == 0


def hold(host: LabHost, age: int = 0) -> str:
    """Hold a host as a run on another machine does that gave its last sign of life `age` ago."""
    me = replace(holder.me("gpuhost.tasks.update"), who="ada", where="attic", space="other/1")
    uptime, boot = host.run(
        "cut -d. -f1 /proc/uptime; cat /proc/sys/kernel/random/boot_id", check=True
    ).out.split()
    host.write(LOCK, f'{me.opening()}, "boot_id": "{boot}", "beat": {int(uptime) - age}}}\n', 0o600)
    return me.token


def test_a_second_run_is_refused_and_touches_no_host(
    site: Path, one: LabHost, other: LabHost
) -> None:
    with running(site, one):
        done = deploy(site, ONE, OTHER)
        assert done.rc == 1
        assert f"{ONE} is held by the run of" in done.said
        assert "(deploy.py, since" in done.said
        assert "add --data wait=SECONDS" in done.said
        assert locked(one)
        assert not locked(other)
        assert other.run("command -v docker").rc


def test_ctrl_c_gives_the_host_back(site: Path, other: LabHost) -> None:
    with running(site, other) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    assert not locked(other)


def test_a_run_that_was_killed_is_repeated_at_once(site: Path, one: LabHost) -> None:
    assert locked(one), "the run before was killed"
    done = deploy(site, ONE)
    assert done.rc == 0, done.said
    assert "on this machine has ended: taking over" in done.said
    assert not locked(one)


def test_who_changes_nothing_needs_no_turn(site: Path, one: LabHost) -> None:
    token = hold(one)
    for done in (plan(site, ONE), deploy(site, ONE)):
        assert done.rc == 0, done.said
    assert token in one.run(f"cat {LOCK}").out


def test_a_run_from_another_machine_is_waited_for(site: Path, one: LabHost) -> None:
    one.run("docker rm -f gpuhost-webui", check=True)
    hold(one)
    refused = deploy(site, ONE)
    assert refused.rc == 1
    assert f"{ONE} is held by the run of ada@attic (gpuhost.tasks.update, since" in refused.said
    hold(one)
    one.run(f"(sleep 8; rm -f {LOCK}) >/dev/null 2>&1 &", check=True)
    done = deploy(site, ONE, wait=120)
    assert done.rc == 0, done.said
    assert "waiting for it, 120 s at most" in done.said
    assert not locked(one)


def test_a_run_from_another_machine_that_died_is_taken_over(site: Path, one: LabHost) -> None:
    one.run("docker rm -f gpuhost-webui", check=True)
    hold(one, age=100)
    done = deploy(site, ONE)
    assert done.rc == 0, done.said
    assert "died: no sign of life for 10" in done.said
    assert ": taking over" in done.said


def test_a_wait_that_is_no_number_stops_the_run(site: Path, one: LabHost) -> None:
    done = deploy(site, ONE, wait="soon")
    assert done.rc == 1
    assert "wait: should be seconds, got 'soon' (for example 600)" in done.said


PROGRAM = "/usr/local/bin/cycle-program"
FOLDER = "/etc/systemd/system"


class Mirror:
    """A folder of units here and on a host; systemctl runs there."""

    def __init__(self, host: LabHost, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.known: set[str] = set()

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        units = {path.name: path for path in self.folder.iterdir() if path.is_file()}
        for name in self.known - set(units):
            self.host.run(f"rm -f {FOLDER}/{name}", check=True)
        for name, path in units.items():
            self.host.write(f"{FOLDER}/{name}", path.read_text())
        self.known = set(units)
        done = self.host.run(" ".join(words))
        self._wants()
        return subprocess.CompletedProcess(words, done.rc, done.out, done.err)

    def _wants(self) -> None:
        """Bring back what systemctl enabled."""
        wants = self.folder / "timers.target.wants"
        wants.mkdir(exist_ok=True)
        listed = self.host.run(f"ls {FOLDER}/timers.target.wants 2>/dev/null").out.split()
        there = {name for name in listed if name.startswith("gpuhost-cycle-")}
        for path in wants.iterdir():
            path.unlink()
        for name in there:
            (wants / name).symlink_to(self.folder / name)


def test_the_timer_is_installed_fires_and_goes(
    one: LabHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "BOOTED", tmp_path)
    folder = tmp_path / "units"
    folder.mkdir()
    one.run("mkdir -p /srv/inventories; touch /srv/inventories/home.py", check=True)
    one.write(PROGRAM, '#!/bin/sh\necho "$PWD $HOME $*" >>/run/cycle-ran\necho told\n', 0o755)
    soon = Cycle(
        Path("/srv/inventories/home.py"), Path("/srv"), PROGRAM, "*:*:0/5", "0", True, "/root"
    )
    never = replace(soon, schedule="2099-01-01")
    none = replace(soon, schedule="")
    for cycle in (never, soon):
        units = Units(cycle, folder, Mirror(one, folder))
        units.change()
        assert units.pending() == []
    verified = one.run(f"systemd-analyze verify --man=no {soon.timer} {soon.service}")
    assert "gpuhost" not in verified.err
    assert one.run(f"systemctl is-enabled {soon.timer}").out == "enabled\n"
    within(30, lambda: one.run("cat /run/cycle-ran").rc == 0)
    ran = one.run("head -n 1 /run/cycle-ran").out.split()
    assert ran == [
        "/srv", "/root", "-m", "pyinfra", "-y", "--data", "wait=3600",
        "/srv/inventories/home.py", "gpuhost.tasks.cycle",
    ]  # fmt: skip
    assert "told" in one.run(f"journalctl --no-pager -u {soon.service}").out
    mirror = Mirror(one, folder)
    mirror.known = {soon.timer, soon.service}
    Units(none, folder, mirror).change()
    assert Units(none, folder, mirror).pending() == []
    assert soon.timer not in one.run("systemctl list-timers --all --no-pager").out
    assert one.run(f"ls {FOLDER} {FOLDER}/timers.target.wants | grep gpuhost-cycle").rc == 1
