"""How the cycle's units come to this machine, change, and go."""

import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from gpuhost import timers
from gpuhost.operations import schedule
from gpuhost.timers import TimerError, Units
from tests.timed import made, timed


class Systemctl:
    """A systemctl that remembers what it was told."""

    def __init__(self, folder):
        self.folder = folder
        self.told: list[str] = []
        self.failing = ""

    def __call__(self, words):
        self.told.append(" ".join(words))
        wants = self.folder / "timers.target.wants"
        if "enable" in words:
            wants.mkdir(exist_ok=True)
            (wants / words[-1]).symlink_to(self.folder / words[-1])
        if "disable" in words:
            (wants / words[-1]).unlink(missing_ok=True)
        broken = bool(self.failing) and self.failing in words
        return subprocess.CompletedProcess(words, int(broken), "", "Failed to connect to bus")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with systemd, and the units of a schedule on it."""
    monkeypatch.setattr(timers, "BOOTED", tmp_path)
    folder = tmp_path / "units"
    systemctl = Systemctl(folder)

    def units(**changes):
        return Units(made(tmp_path, **changes), folder, systemctl)

    return SimpleNamespace(units=units, folder=folder, systemctl=systemctl)


TIMER = "gpuhost-cycle-home.timer"


def test_units_are_written_once(machine):
    units = machine.units()
    assert units.pending() == ["gpuhost-cycle-home.service: is missing", f"{TIMER}: is missing"]
    units.change()
    assert machine.systemctl.told == ["systemctl daemon-reload", f"systemctl enable --now {TIMER}"]
    assert (machine.folder / TIMER).stat().st_mode & 0o777 == 0o644
    assert units.pending() == []
    assert machine.systemctl.told[2:] == [f"systemctl is-active {TIMER}"]


def test_another_time_is_written_without_making_up_for_the_last_one(machine):
    machine.units().change()
    later = machine.units(timer="Mon 03:30")
    assert later.pending() == [f"{TIMER}: differs"]
    machine.systemctl.told.clear()
    later.change()
    assert machine.systemctl.told == [
        f"systemctl disable --now {TIMER}",
        f"systemctl clean --what=state {TIMER}",
        "systemctl daemon-reload",
        f"systemctl enable --now {TIMER}",
    ]
    assert later.pending() == []


def test_without_a_schedule_they_go(machine):
    machine.units().change()
    none = machine.units(timer="")
    assert none.pending() == [
        "gpuhost-cycle-home.service: is no longer wanted",
        f"{TIMER}: is no longer wanted",
    ]
    none.change()
    assert [path.name for path in machine.folder.iterdir()] == ["timers.target.wants"]
    assert none.pending() == []


def test_a_timer_that_somebody_stopped_is_started(machine):
    machine.units().change()
    machine.systemctl.failing = "is-active"
    assert machine.units().pending() == [f"{TIMER}: is not running"]


def test_a_users_units_are_the_users(machine):
    units = machine.units(system=False)
    units.change()
    assert machine.systemctl.told[0] == "systemctl --user daemon-reload"
    (remark,) = units.remarks()
    assert "loginctl enable-linger" in remark


def test_what_systemd_says_is_passed_on(machine):
    machine.systemctl.failing = "daemon-reload"
    with pytest.raises(TimerError, match="systemctl daemon-reload: Failed to connect to bus"):
        machine.units().change()


def test_the_units_of_another_inventory_of_that_name_are_left_alone(machine, tmp_path):
    other = Units(made(tmp_path / "elsewhere"), machine.folder, machine.systemctl)
    other.change()
    with pytest.raises(TimerError, match=r"is of .*elsewhere.* \(rename the inventory"):
        machine.units().pending()
    assert machine.units(timer="").pending() == []
    other.cycle.inventory.unlink()
    assert machine.units().pending() == [
        "gpuhost-cycle-home.service: differs",
        f"{TIMER}: differs",
    ]


def session(folder, **changes) -> Any:
    state = SimpleNamespace(gpuhost_inventory=folder / "home.py", cwd=str(folder))
    host = SimpleNamespace(name="one", state=state, print_prefix="", said=[])
    host.noop = host.said.append
    return SimpleNamespace(host=host, settings=timed(**changes))


def test_a_machine_without_systemd_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(timers, "BOOTED", tmp_path / "none")
    said: list[str] = []
    monkeypatch.setattr(schedule.logger, "error", said.append)
    monkeypatch.setattr(schedule.report, "failed", lambda *_: None)
    one = session(tmp_path)
    (command,) = schedule.schedule._inner(session=one)
    assert command.function(None, one.host) is False
    (line,) = said
    assert "timer refused" in line
    assert "cycle_schedule: should be empty on a machine without systemd, got 'daily'" in line


def test_a_program_that_cannot_be_started_fails_like_any_other():
    assert timers.run(["/no/such/systemctl"]).returncode == 127


def test_hosts_on_the_command_line_have_no_timer(tmp_path):
    one = session(tmp_path)
    one.host.state.gpuhost_inventory = None
    assert schedule.lines(one)[0].startswith("cycle_schedule: should come with an inventory file")
    one.settings.cycle_schedule = ""
    assert schedule.lines(one) == []


def test_no_change_is_no_operation(tmp_path, monkeypatch):
    monkeypatch.setattr(timers, "SYSTEM_FOLDER", tmp_path)
    one = session(tmp_path, cycle_schedule="")
    assert list(schedule.schedule._inner(session=one)) == []
    assert one.host.said == ["the timer is as it should be"]


def test_a_program_that_is_not_here_is_remarked_on():
    assert timers.missing_program("no-such-program -x") == "no-such-program"
    assert timers.missing_program("sh -c x") == ""
    assert timers.missing_program("https://ntfy.example/x") == ""


def test_root_has_the_systems_units_and_others_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert timers.here(tmp_path / "x.py", tmp_path, "daily", "").folder == tmp_path / "systemd/user"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert (
        str(timers.here(tmp_path / "x.py", tmp_path, "daily", "").folder) == "/etc/systemd/system"
    )
