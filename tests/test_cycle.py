"""The cycle's settings, and its units as text."""

import subprocess

import pytest

from gpuhost import cycle
from tests.timed import made, timed


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
