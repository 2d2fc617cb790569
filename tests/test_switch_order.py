"""A switch is ordered and followed: what the host is told, and what its journals lead to."""

import base64
import json
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from paramiko import SSHException

from gpuhost import actions, report
from gpuhost.hostside import journal as states
from gpuhost.hostside.journal import FINAL, WORKING, Journal
from gpuhost.operations import acting, switch
from gpuhost.operations.job import JobFailed

ACTION = actions.SwitchInstance("webui", "0123456789ab", b'{"request": {"release": "x"}}')
ACCEPTED = ['{"attached": false, "id": "1"}']
ATTACHED = ['{"attached": true, "id": "0"}']


def looked(state, active="inactive", **fields):
    """What a host prints when it is looked at."""
    entry = Journal("1", "webui", "0123456789ab", state=state, **fields)
    return [active, *json.dumps(entry.to_json(), indent=1).splitlines()]


class Remote:
    """A host that gives recorded answers, one after another."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.scripts: list[str] = []
        self.stdin: list[str] = []

    def __call__(self, state, host, script, stdin=""):
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        self.scripts.append(script)
        self.stdin.append(stdin)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, tuple) else (True, answer)

    @property
    def verbs(self):
        """What each script was for."""
        words = {"accept": "accept", "reset-failed": "start", "is-active": "look"}
        return [next(words[key] for key in words if key in script) for script in self.scripts]


@pytest.fixture
def ordered(monkeypatch):
    """Order the switch on a host with these answers: the host, and whether the lock was kept."""
    monkeypatch.setattr(report, "_entries", {"one": report.Entry()})
    monkeypatch.setattr(switch.time, "sleep", lambda _: None)

    def run(*answers):
        remote, kept = Remote(*answers), []
        monkeypatch.setattr(switch, "remote", remote)
        session: Any = SimpleNamespace(keep_lock=lambda: kept.append(True), host=None)
        host: Any = SimpleNamespace(name="one")
        found = acting.command(session, ACTION, lambda *_: b"")
        assert isinstance(found, acting.Work)
        found.run(None, host)  # type: ignore[arg-type]
        assert remote.answers == []
        return remote, bool(kept)

    return run


def test_a_committed_switch_keeps_the_lock(ordered, capsys):
    remote, kept = ordered(
        ACCEPTED,
        looked("pulling", "active", bytes=1, total=2, line="downloading"),
        looked("gating", "activating"),
        looked("committed"),
    )
    assert kept
    assert remote.verbs == ["accept", "look", "look", "look"]
    assert base64.b64decode(remote.stdin[0]) == ACTION.order
    assert remote.scripts[0] == (
        "base64 -d | python3 /usr/local/lib/gpuhost/switch.pyz accept webui"
    )
    assert [one.state for one in report.switches("one")] == ["committed"]
    said = capsys.readouterr().err
    assert [word for word in ("pulling", "gating", "committed") if word in said] == [
        "pulling", "gating", "committed"
    ]  # fmt: skip


def test_a_look_waits_on_the_host_and_longer_each_time(ordered):
    many = [looked("gating", "active")] * 12
    remote, _ = ordered(ACCEPTED, *many, looked("committed"))
    waits = [int(script.partition("seq ")[2].partition(")")[0]) for script in remote.scripts[1:]]
    assert waits == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 15]


def test_a_busy_webui_fails_nobody_and_keeps_no_lock(ordered, capsys):
    busy = looked("skipped", gate="drain", reason="busy: a job, 12 % done")
    _, kept = ordered(ACCEPTED, busy)
    assert not kept
    assert "skipped: busy: a job, 12 % done" in capsys.readouterr().err
    assert report.skipped("one")


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    states.ABANDONED: (
        {"gate": "pulling", "reason": "app: manifest unknown"},
        "app: manifest unknown; abandoned: what runs was not touched",
    ),
    states.ROLLED_BACK: (
        {"gate": "picture", "reason": "HTTP 500", "notes": ["extension a was 1, is 2"]},
        "gate picture failed: HTTP 500; rolled back: the old release runs and is proven again;"
        " extension a was 1, is 2; docker logs gpuhost-webui-failed says more",
    ),
    states.FAILED: (
        {"gate": "starts", "reason": "exit code 1"},
        "gate starts failed: exit code 1; failed: there was no proven release to go back to; the"
        " container is kept; docker logs gpuhost-webui, mend what is wrong, then run again",
    ),
    states.STRANDED: (
        {"gate": "gpu", "reason": "none", "notes": ["release b did not come back: x"]},
        "gate gpu failed: none; stranded: the old release did not come back either; containers"
        " and images are kept; release b did not come back: x; docker logs gpuhost-webui-failed"
        " says more; docker logs gpuhost-webui, mend what is wrong, then run again",
    ),
}


@pytest.mark.parametrize("state", FAILURES)
def test_what_was_not_committed_fails_the_host_with_what_to_do(ordered, state):
    fields, text = FAILURES[state]
    with pytest.raises(JobFailed) as caught:
        ordered(ACCEPTED, looked(state, log=["Traceback", "OutOfMemoryError"], **fields))
    assert str(caught.value) == text
    assert caught.value.tail == "Traceback\nOutOfMemoryError"
    assert [one.state for one in report.switches("one")] == [state]


def test_every_end_is_told():
    assert {*FAILURES, states.COMMITTED, states.SKIPPED} == set(FINAL)
    for state in (*FINAL, *WORKING):
        assert states.Journal("1", "webui", "x", state=state).sentence()


def test_an_earlier_switch_ends_before_the_order_is_taken(ordered, capsys):
    remote, kept = ordered(
        ATTACHED, looked("restoring", "active"), looked("rolled back", gate="gpu", reason="none"),
        ACCEPTED, looked("committed"),
    )  # fmt: skip
    assert kept
    assert remote.verbs == ["accept", "look", "look", "accept", "look"]
    assert remote.stdin[3] == remote.stdin[0]
    assert "an earlier switch still works, waiting for it" in capsys.readouterr().err
    assert [one.state for one in report.switches("one")] == ["committed"]


def test_a_switch_that_died_is_started_again(ordered):
    remote, _ = ordered(
        ACCEPTED, looked("gating", "failed"), [], looked("gating", "active"), looked("committed")
    )
    assert remote.verbs == ["accept", "look", "start", "look", "look"]
    assert remote.scripts[2] == (
        "systemctl reset-failed gpuhost-switch@webui;"
        " systemctl start --no-block gpuhost-switch@webui"
    )


def test_a_switch_that_never_lives_is_given_up(ordered):
    dead = looked("draining", "failed")
    with pytest.raises(JobFailed) as caught:
        ordered(ACCEPTED, dead, [], dead, [], dead, [], dead)
    assert str(caught.value) == (
        "the switch does not run (journalctl -u gpuhost-switch@webui on the host says why);"
        " it stands at draining"
    )


@pytest.mark.parametrize("error", [SSHException("gone"), OSError("reset"), EOFError()])
@pytest.mark.parametrize("before", [[], [ACCEPTED], [ACCEPTED, looked("gating", "active")]])
def test_a_lost_connection_loses_nothing(ordered, error, before):
    with pytest.raises(JobFailed) as caught:
        ordered(*before, error)
    assert str(caught.value).startswith("the connection was lost (")
    assert str(caught.value).endswith("the switch goes on on the host, run again to see its end")


def test_no_answer_is_a_lost_connection(ordered):
    with pytest.raises(JobFailed, match=r"^the connection was lost \(no answer\)"):
        ordered(ACCEPTED, (False, []))


def test_an_order_that_is_refused_is_told(ordered):
    with pytest.raises(JobFailed, match=r"^the switch could not be started") as caught:
        ordered((False, ["accept: release x is not stored on this host"]))
    assert caught.value.tail == "accept: release x is not stored on this host"


@pytest.mark.parametrize("said", [["inactive", "{"], ["inactive", "[]"], ["inactive"]])
def test_a_journal_that_cannot_be_read_is_told(ordered, said):
    with pytest.raises(JobFailed, match=r"^its journal cannot be read"):
        ordered(ACCEPTED, said)


def test_a_switch_of_an_earlier_run_is_seen_through(ordered, monkeypatch):
    remote = Remote(looked("switching", "inactive"), [], looked("committed"))
    monkeypatch.setattr(switch, "remote", remote)
    host: Any = SimpleNamespace(name="one")
    found = switch.see_through(None, host, "webui")  # type: ignore[arg-type]
    assert (found.state, remote.verbs) == ("committed", ["look", "start", "look"])
    assert [one.state for one in report.switches("one")] == ["committed"]


def test_the_order_stands_in_no_word_about_it():
    assert "request" not in repr(ACTION)
