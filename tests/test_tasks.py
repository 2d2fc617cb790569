"""`gpuhost.tasks` by the real command line, on hosts of pyinfra's @fake connector."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from gpuhost import lock_file
from gpuhost.parsing import host_state
from tests.defaults import ROOT
from tests.probed import report
from tests.test_plan import host_of, lock_of, plan_of, settings_of

KEYS = ("engine_apt_fingerprint", "toolkit_apt_fingerprint", "engine_apt_key", "toolkit_apt_key")
SETTLED = host_of({})
STOPPED = replace(SETTLED, containers={})
WITHOUT_SYSTEMD = replace(SETTLED, system=replace(SETTLED.system, init="runit"))
SILENT = {"success": False, "stderr": "sh: nothing works here"}


@pytest.mark.parametrize("state", [SETTLED, STOPPED, plan_of({"host": "bare fedora42"})[0]])
def test_a_report_of_a_state_is_read_as_that_state(state):
    found = host_state(report(state, 1000.0), 1000.0)
    assert found.files == state.files
    assert found.containers == state.containers
    assert found.packages == state.packages
    assert (found.system, found.gpus, found.disks) == (state.system, state.gpus, state.disks)


@pytest.fixture
def pyinfra(tmp_path):
    """Run a task on hosts that answer with a state's report, or with a response of their own."""

    def run(task, hosts, *words):
        settings = settings_of({})
        own = {key: getattr(settings, key) for key in KEYS}
        answers = {
            name: host if isinstance(host, dict) else report(host, time.time())
            for name, host in hosts.items()
        }
        inventory = tmp_path / "hosts.py"
        quiet = {"fake_delay": 0, "fake_delay_jitter": 0}
        entries = [
            (f"@fake/{name}", {**own, **quiet, "fake_responses": {"": answer}})
            for name, answer in answers.items()
        ]
        inventory.write_text(f"hosts = {entries!r}\n")
        lock_file.write(tmp_path / "hosts.lock.yaml", lock_of({}, settings))
        command = [sys.executable, "-m", "pyinfra", "-y", str(inventory), f"gpuhost.tasks.{task}"]
        return subprocess.run(
            [*command, *words], cwd=ROOT, env={**os.environ, "PYINFRA_PROGRESS": "off"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


def test_nothing_to_do(pyinfra):
    done = pyinfra("plan", {"one": SETTLED, "two": SETTLED})
    assert (done.returncode, done.stdout) == (0, "nothing to do on 2 hosts\n")
    assert "Traceback" not in done.stderr


def test_changes_are_pending(pyinfra):
    done = pyinfra("plan", {"one": SETTLED, "two": STOPPED})
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert lines[0] == "host subject now wanted why"
    assert lines[1].startswith("@fake/two instance webui missing release ")
    assert lines[1].endswith("proven there is no container yet")
    assert lines[2:] == ["1 change on 1 host"]


def test_a_refusal_and_an_unreadable_host_among_others(pyinfra):
    hosts = {"bad": WITHOUT_SYSTEMD, "fine": SETTLED, "odd": {"stdout": "Welcome!"},
             "silent": SILENT, "stopped": STOPPED}  # fmt: skip
    done = pyinfra("plan", hosts)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert lines[1] == "@fake/bad system init is runit refused boot this host with systemd"
    assert lines[2] == "@fake/odd host could not be read"
    assert lines[3] == "@fake/silent host could not be read"
    assert lines[-1] == "1 change on 1 host, 3 hosts refused or not read"
    assert "Traceback" not in done.stderr


def test_json_says_everything_and_nothing_else(pyinfra):
    hosts = {"bad": WITHOUT_SYSTEMD, "fine": SETTLED, "silent": SILENT, "stopped": STOPPED}
    done = pyinfra("plan", hosts, "--data", "format=json")
    found = json.loads(done.stdout)
    (start,) = found.pop("@fake/stopped")["steps"]
    assert done.returncode == 1
    assert found == {
        "@fake/bad": {
            "steps": [],
            "refusals": [
                {
                    "stage": "preflight",
                    "subject": "system",
                    "found": "init is runit",
                    "remedy": "boot this host with systemd",
                }
            ],
        },
        "@fake/fine": {"steps": [], "refusals": []},
        "@fake/silent": {"error": "the host could not be read"},
    }
    assert re.fullmatch("release [0-9a-f]{12} proven", start.pop("wanted"))
    assert start == {
        "stage": "instance",
        "subject": "instance webui",
        "now": "missing",
        "why": "there is no container yet",
    }


def test_explain_prints_the_docker_run_line(pyinfra):
    done = pyinfra("explain", {"one": SETTLED})
    heading, line = done.stdout.splitlines()
    assert done.returncode == 0
    assert heading == "# @fake/one: instance webui"
    assert line.startswith("docker run --detach --name gpuhost-webui --init ")
    assert line.endswith(f"@sha256:{'1' * 64}")
