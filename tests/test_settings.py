import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gpuhost import settings, startup
from gpuhost.complaints import by_host
from gpuhost.settings import Settings
from tests.defaults import DATA, ROOT

ALL = ROOT / "group_data" / "all.py"
CASES = {
    f"{path.stem}: {name}": case
    for path in sorted((Path(__file__).parent / "settings").glob("*.yaml"))
    for name, case in yaml.safe_load(path.read_text()).items()
}


@pytest.mark.parametrize("name", CASES)
def test_says(name, monkeypatch):
    monkeypatch.setenv("GPUHOST_TEST_PASSWORD", "fine")
    case = CASES[name]
    data = {**DATA, **case["data"]}
    for key in case.get("without", ()):
        del data[key]
    assert startup.complain(data) == case["says"]


def test_there_are_enough_cases():
    assert len(CASES) >= 70


def test_a_set_is_no_json():
    assert startup.complain({**DATA, "engine_options": {"labels": {"a"}}}) == [
        "engine_options.labels: should be something that JSON can hold, got {'a'}"
    ]


def test_defaults_are_valid():
    assert startup.complain(DATA) == []


def test_all_py_and_the_model_hold_the_same_keys_in_the_same_order():
    assert list(DATA) == list(Settings.model_fields)


def test_the_model_has_no_defaults_of_its_own():
    assert [key for key, field in Settings.model_fields.items() if not field.is_required()] == []


def test_every_setting_has_one_line_of_comment():
    found = re.findall(r"^(\w+) = (?:.*?)  # (.+)$", _joined(ALL.read_text()), re.MULTILINE)
    assert [key for key, comment in found if comment.strip()] == list(Settings.model_fields)


def _joined(text):
    """A value over several lines keeps its comment; put it behind the closing bracket."""
    text = re.sub(r"= \[  (# .*)\n(?:    .*\n)+\]", r"= []  \1", text)
    return re.sub(r"= \(\n    (.*)\n\)", r"= \1", text)


def test_groups_stand_together():
    groups = [key.partition("_")[0] for key in Settings.model_fields]
    assert list(dict.fromkeys(groups)) == [
        group for group, before in zip(groups, [None, *groups], strict=False) if group != before
    ]


def test_what_all_hosts_share_is_said_once():
    assert by_host({"a": ["port: x", "image: y"], "b": ["port: x"]}) == [
        "group_data: port: x",
        "a: image: y",
    ]


def test_what_some_hosts_share_names_them():
    assert by_host({"a": ["x"], "b": ["x"], "c": []}) == ["a, b: x"]


def test_flags_split_as_the_images_shell_does():
    one = settings.Instance(name="a", flags="--api  --port 1 '--x y'")
    assert one.flag_list == ["--api", "--port", "1", "'--x", "y'"]


@pytest.fixture
def door():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


def test_the_run_stops_before_any_host_is_contacted(door, tmp_path):
    inventory = tmp_path / "bad.py"
    access = {"ssh_hostname": "127.0.0.1", "ssh_port": door.getsockname()[1], "ssh_user": "root"}
    host = {**access, "webui_adress": "0.0.0.0", "storage_path": "srv", "driver_reboot": True}
    inventory.write_text(f"hosts = [('one', {host!r}), ('two', {dict(host, x=1)!r})]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "-y", str(inventory), "deploy.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    for line in (
        "group_data: webui_adress: unknown setting (did you mean webui_address?), or start your own"
        " keys with 'x_'",
        "group_data: storage_path: should be an absolute path, got 'srv' (for example"
        " '/srv/gpuhost')",
        "group_data: driver_reboot: should come with driver_manage = True, got driver_manage ="
        " False",
        "two: x: unknown setting, or start your own keys with 'x_'",
    ):
        assert line in lines
    assert "Traceback" not in done.stderr
    with pytest.raises(TimeoutError):
        door.accept()
