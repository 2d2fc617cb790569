"""The cycle's settings, its units as text, and how they come to and go from this machine."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpuhost import cycle, timers, timing
from gpuhost.cycle import Cycle
from gpuhost.operations import schedule
from gpuhost.timers import TimerError, Units
from tests.defaults import checked

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="asks systemd-analyze"
)
TIMES = ["daily", "*-*-* 04:00", "Mon 03:30", "Mon..Fri 04:00:00", "Sat,Sun *-*-* 2:15", "04:00",
         "*-*~01 05:00", "2026-01-01", "*-*-01/7 03:00 Europe/Berlin", "hourly UTC",
         "*:0/15"]  # fmt: skip
NO_TIMES = ["4 o'clock", "nightly", "at 04:00", "*-*-* 04:00\nExec=x", " daily", "%h", "25h"]
SPANS = ["", "30min", "1h 30min", "45", "2 hours", "1.5h"]
NO_SPANS = ["half an hour", "30min\nX=1", "-5min", "1x", "h"]


@pytest.mark.parametrize(
    "known", [timing.matches, pytest.param(timing._known, marks=needs_systemd)]
)
@pytest.mark.parametrize("text", TIMES)
def test_calendar_expressions_are_taken(text, known, monkeypatch):
    monkeypatch.setattr(timing, "_known", known)
    assert timing.calendar(text) == text


@pytest.mark.parametrize(
    "known", [timing.matches, pytest.param(timing._known, marks=needs_systemd)]
)
@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_calendar_expression_is_refused(text, known, monkeypatch):
    monkeypatch.setattr(timing, "_known", known)
    with pytest.raises(ValueError, match="should be a systemd calendar expression, got"):
        timing.calendar(text)


def test_no_schedule_is_fine():
    assert timing.calendar("") == ""


@pytest.mark.parametrize("text", SPANS)
def test_spans_are_taken(text):
    assert timing.span(text) == text


@pytest.mark.parametrize("text", NO_SPANS)
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="should be a time span, got"):
        timing.span(text)


@pytest.mark.parametrize(
    "text", ["", "https://ntfy.example/x", "http://127.0.0.1:8080/", "mail -s 'last night' me"]
)
def test_receivers_are_taken(text):
    assert cycle.receiver(text) == text


@pytest.mark.parametrize(
    "text", ["ftp://x.example/y", "https:///secret", "https://x.example/se cret", "mail 'x", "  ",
             "https://x.example:port/secret"],
)  # fmt: skip
def test_what_is_no_receiver_is_refused_without_its_path(text):
    with pytest.raises(ValueError, match="should be a URL") as caught:
        cycle.receiver(text)
    assert "secret" not in str(caught.value)


def timed(**changes) -> Any:
    """Settings with a schedule, as the agreement sees them."""
    return SimpleNamespace(**{**vars(checked()), "cycle_schedule": "daily", **changes})


def test_a_password_in_the_environment_is_not_there_at_night():
    login = {"webui_user": "ada", "webui_password_env": "SECRET"}
    (line,) = cycle.passwords(timed(**login))
    assert line.startswith(
        "webui_password_env: should be webui_password_file where cycle_schedule is set,"
        " got 'SECRET' (the timer does not know your environment"
    )
    assert list(cycle.passwords(timed(**login, cycle_schedule=""))) == []
    assert list(cycle.passwords(timed(**login, webui_password_file="/x"))) == []
    assert list(cycle.passwords(timed(webui_password_env="SECRET"))) == []


def test_an_inventory_has_one_schedule():
    daily, never = {"cycle_schedule": "daily"}, {"cycle_schedule": ""}
    assert cycle.differences({"a": daily, "b": daily}) == []
    assert cycle.differences({"a": daily, "b": never, "c": never}) == [
        "cycle_schedule: should be the same for all hosts of an inventory, got other values on"
        " a and b (set it in group_data/all.py)"
    ]


def made(
    folder: Path, stem="home", timer="daily", system=True, delay="30min", python="/usr/bin/env"
):
    inventory = folder / "inventories" / f"{stem}.py"
    inventory.parent.mkdir(exist_ok=True, parents=True)
    inventory.touch()
    return Cycle(inventory, folder, python, timer, delay, system, "/root")


def test_units_are_named_after_the_inventory(tmp_path):
    assert list(made(tmp_path, "my hosts").units()) == [
        "gpuhost-cycle-my-hosts.service",
        "gpuhost-cycle-my-hosts.timer",
    ]
    assert made(tmp_path, timer="").units() == {}


def test_the_service_runs_the_cycle_where_the_project_is(tmp_path):
    text = made(tmp_path).units()["gpuhost-cycle-home.service"]
    assert (
        'ExecStart="/usr/bin/env" "-m" "pyinfra" "-y" "--data" "wait=3600"'
        f' "{tmp_path}/inventories/home.py" "gpuhost.tasks.cycle"\n'
    ) in text
    assert f"WorkingDirectory={tmp_path}\n" in text
    assert cycle.owner(text) == f"{tmp_path}/inventories/home.py"


def test_words_are_quoted_for_systemd():
    assert cycle.word('50% of $HOME "x" \\') == '"50%% of $$HOME \\"x\\" \\\\"'


@needs_systemd
@pytest.mark.parametrize("system", [True, False])
def test_systemd_takes_the_units(system, tmp_path):
    odd = tmp_path / "my 100% $HOME"
    odd.mkdir()
    one = made(odd, "week end", "Mon 03:30", system, "")
    for name, text in one.units().items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / one.timer, tmp_path / one.service],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "gpuhost" in line] == []
    assert ("network-online" in (tmp_path / one.service).read_text()) is system


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
