"""The fact of a host's records, and the verbs that show them, on recorded reports."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyinfra.api.exceptions import FactProcessError

from gpuhost import host_records, lock_file
from gpuhost.facts.records import HostRecords
from gpuhost.hostside import journal
from tests.defaults import ROOT
from tests.probed import report
from tests.test_plan import host_of, lock_of, settings_of
from tests.test_tasks import KEYS, SETTLED

RECORDED = Path(__file__).parent / "facts" / "records" / "rolled-back.json"
DOCUMENT = json.loads(RECORDED.read_text())
ABSENT = "absent"


def test_a_recorded_report_is_read():
    found = host_records.read(DOCUMENT)
    webui = found.of("webui")
    assert (found.problem, webui.busy) == ("", "idle")
    assert webui.journal
    assert (webui.journal.state, webui.open) == (journal.ROLLED_BACK, False)
    assert [one.role for one in found.containers] == ["", "failed", "", "live"]
    assert [one.gate for one in webui.quarantine] == ["answers", "picture"]
    assert len(webui.stored) == 4
    assert webui.history[-1].state == journal.ROLLED_BACK


def test_the_fact_is_one_bounded_command():
    command = HostRecords().command()
    assert "timeout -k 5 300 python3 /usr/local/lib/gpuhost/switch.pyz report" in command
    assert subprocess.run(["sh", "-n", "-c", command]).returncode == 0


def test_a_host_without_the_program_has_no_records():
    found = HostRecords().process(["absent"])
    assert found.problem == "gpuhost keeps no records on this host yet"
    assert found.instances == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Welcome!", "not JSON: 'Welcome!'"),
        ("[]", "report of version 1"),
        ('{"version": 9}', "report of version 1"),
        ('{"version": 1}', "KeyError: 'now'"),
        (json.dumps({**DOCUMENT, "containers": [{"id": 1}]}), "TypeError"),
    ],
)
def test_what_is_no_report_is_said(line, said):
    with pytest.raises(
        FactProcessError, match=r"^report of /usr/local/lib/gpuhost/switch\.pyz: "
    ) as found:
        HostRecords().process([line])
    assert said in str(found.value)


@pytest.fixture
def pyinfra(tmp_path):
    """Run a verb on hosts that answer with a state and with records."""

    def run(task, hosts, *words):
        settings = settings_of({})
        own = {key: getattr(settings, key) for key in KEYS}
        entries = []
        for name, (state, records) in hosts.items():
            answers = {"switch.pyz report": records, "": report(state, time.time())}
            quiet = {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers}
            entries.append((f"@fake/{name}", {**own, **quiet}))
        inventory = tmp_path / "hosts.py"
        inventory.write_text(f"hosts = {entries!r}\n")
        lock_file.write(tmp_path / "hosts.lock.yaml", lock_of({}, settings))
        command = [sys.executable, "-m", "pyinfra", "-y", str(inventory), f"gpuhost.tasks.{task}"]
        return subprocess.run(
            [*command, *words], cwd=ROOT, env={**os.environ, "PYINFRA_PROGRESS": "off"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


HOST = (SETTLED, json.dumps(DOCUMENT))
UNREADABLE = (SETTLED, "Welcome!")


def lines(done):
    assert "Traceback" not in done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_status_of_a_host_that_is_not_as_it_says(pyinfra):
    done = pyinfra("status", {"one": HOST, "two": (SETTLED, ABSENT)})
    heading, first, second, *remarks = lines(done)
    assert heading.startswith("host instance release image proven health GPUs job kept")
    assert first.startswith("@fake/one webui ")
    assert " idle 3 77.6 GB " in first
    assert "rolled back, " in first
    assert " unknown 0 - " in second
    assert second.endswith(" never")
    assert any("is in quarantine: gate answers: no answer within 5 s" in one for one in remarks)
    assert "@fake/two, webui: gpuhost keeps no records on this host yet" in remarks
    assert done.returncode == 2


def test_status_for_machines(pyinfra):
    done = pyinfra("status", {"one": HOST, "odd": UNREADABLE}, "--data", "format=json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["@fake/odd"] == {"error": "the host could not be read"}
    (webui,) = found["@fake/one"]["instances"]
    assert (webui["instance"], webui["health"], webui["gpus"]) == ("webui", "healthy", 1)
    assert (webui["well"], webui["last"]["state"]) == (False, "rolled back")


def test_history_is_newest_first(pyinfra):
    done = pyinfra("history", {"one": HOST})
    heading, *rows = lines(done)
    assert heading == "when (UTC) host instance verb release image why by took down verdict"
    times = [row[:16] for row in rows if row.startswith("20")]
    assert len(times) == 7
    assert times == sorted(times, reverse=True)
    assert "rolled back: gate answers: no answer" in " ".join(rows[:3])
    assert done.returncode == 0


def test_history_for_machines(pyinfra):
    hosts = {"one": HOST, "odd": UNREADABLE}
    done = pyinfra("history", hosts, "--data", "format=json", "--data", "instance=other")
    assert json.loads(done.stdout) == {
        "@fake/odd": {"error": "the host could not be read"}, "@fake/one": [],
    }  # fmt: skip
    assert done.returncode == 1


def test_a_dry_prune_shows_what_goes_and_stays_and_why(pyinfra):
    own = ("--data", "image_reference=registry.gpuhost.test:5000/sd-webui:v3")
    done = pyinfra("prune", {"one": HOST}, "--dry", *own)
    found = lines(done)
    assert found[0] == "@fake/one: 2 to go, 0 MB to 99 MB"
    assert found[1] == (
        "goes image registry.gpuhost.test:5000/sd-webui@dc41d7caeccd 99 MB, 0 MB of its own"
        " instance webui: proven on 2026-11-28, newer ones are kept"
    )
    assert found[2] == "goes release webui 731e547db86d its image goes"
    assert {line.split()[0] for line in found[3:]} == {"stays"}
    assert not any("mine:1" in line or "debian" in line or "theirs" in line for line in found)
    assert done.returncode == 0


def test_a_dry_prune_for_machines(pyinfra):
    hosts = {"one": HOST, "two": (host_of({}), ABSENT)}
    done = pyinfra("prune", hosts, "--dry", "--data", "format=json")
    found = json.loads(done.stdout)
    assert found["@fake/two"] == {
        "problem": "gpuhost keeps no records on this host yet",
        "bytes": {"least": 0, "most": 0}, "removed": [], "kept": [],
    }  # fmt: skip
    assert [one["kind"] for one in found["@fake/one"]["removed"]] == ["image", "release"]
    assert "freed" not in found["@fake/one"]
