"""The run lock: its script in a real shell, real processes that race, and who counts as dead."""

import os
import subprocess
import sys
from typing import Any

import gevent
import pytest

from gpuhost import processes
from gpuhost.holder import Clock
from gpuhost.operations import run_lock, swapping
from gpuhost.operations.job import JobFailed
from tests.lockable import Hosts, named, stranger, swap

STATE: Any = None
ONE = named("one")


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    found = Hosts(tmp_path)
    monkeypatch.setattr(swapping, "remote", found)
    monkeypatch.setattr(run_lock, "_held", {})
    return found


def test_a_free_host_is_taken_and_given_back(hosts):
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    found = hosts.lock("one")
    assert (found.pid, found.what) == (os.getpid(), "deploy.py")
    assert (hosts.root / "one" / "run.lock").stat().st_mode & 0o777 == 0o600
    run_lock.release()
    assert hosts.lock("one") is None
    assert run_lock.lost(ONE) == ""


def test_a_host_that_is_held_already_is_not_asked_again(hosts):
    run_lock.take(STATE, ONE, "deploy.py")
    asked = len(hosts.asked)
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    assert len(hosts.asked) == asked
    run_lock.release()


def test_a_host_of_a_living_run_is_refused_with_who_where_and_since_when(hosts):
    hosts.write("one", stranger(since="2026-08-01T03:04:05+00:00"), age=80)
    text = str(run_lock.take(STATE, ONE, "deploy.py"))
    assert text.startswith(
        "one is held by the run of ada@attic (deploy.py, since 2026-08-01 03:04 UTC),"
        " which gave its last sign of life 8"
    )
    assert hosts.lock("one").who == "ada"
    run_lock.release()
    assert hosts.lock("one").who == "ada"


def test_a_run_without_a_sign_of_life_is_taken_over_and_that_is_said(hosts, capsys):
    hosts.write("one", stranger(), age=185)
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    assert hosts.lock("one").pid == os.getpid()
    said = capsys.readouterr().err
    assert "[one] the run of ada@attic (deploy.py, since" in said
    assert "died: no sign of life for 3 min: taking over" in said
    run_lock.release()


def test_a_dead_process_of_this_machine_is_dead_at_once(hosts, capsys):
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = stranger(
            space=processes.space(), pid=process.pid, started=processes.started(process.pid)
        )
        hosts.write("one", gone)
        assert run_lock.take(STATE, ONE, "deploy.py") is not None
        process.kill()
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    assert f"its process {gone.pid} on this machine has ended" in capsys.readouterr().err
    run_lock.release()


def test_a_process_number_that_was_given_again_is_another_process(hosts):
    mine = processes.started(os.getpid())
    hosts.write("one", stranger(space=processes.space(), pid=os.getpid(), started=mine - 1))
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    run_lock.release()


def test_a_process_number_of_another_machine_says_nothing(hosts):
    hosts.write("one", stranger(pid=2**22 - 1))
    assert run_lock.take(STATE, ONE, "deploy.py") is not None


def test_a_lock_of_another_boot_is_dead():
    clock = Clock(100, "this boot")
    assert stranger(boot_id="that boot", beat=99).death(clock) == "the host was rebooted since"


@pytest.mark.parametrize(("beat", "dead"), [(10, False), (1000, False), (9, True)])
def test_age_is_told_by_the_hosts_uptime(beat, dead):
    assert bool(stranger(boot_id="b", beat=beat).death(Clock(100, "b"))) is dead


def test_wall_clocks_take_no_part(hosts, monkeypatch):
    hosts.write("one", stranger(since="1970-01-01T00:00:00+00:00"))
    assert run_lock.take(STATE, ONE, "deploy.py") is not None
    hosts.write("one", stranger(since="2999-01-01T00:00:00+00:00"), age=100)
    assert run_lock.take(STATE, ONE, "deploy.py") is None
    run_lock.release()
    assert "date" not in swapping.SWAP


def test_a_lock_that_nobody_here_wrote_is_left_alone(hosts):
    (hosts.root / "one").mkdir()
    (hosts.root / "one" / "run.lock").write_text("busy\n")
    with pytest.raises(JobFailed, match="should be one JSON line of a run, got 'busy'"):
        run_lock.take(STATE, ONE, "deploy.py")
    assert (hosts.root / "one" / "run.lock").read_text() == "busy\n"


def test_a_name_with_quotes_and_backslashes_survives_the_shell(tmp_path):
    odd = stranger(who="""o'brien "\\n" $(id) `id` %s""")
    assert swap(tmp_path, "", odd.opening()).holder.who == odd.who


def test_a_heartbeat_renews_and_only_its_own(tmp_path):
    first = swap(tmp_path, "", stranger().opening())
    path = tmp_path / "run.lock"
    path.write_text(path.read_text().replace(f'"beat": {first.clock.uptime}', '"beat": 1'))
    again = swap(tmp_path, stranger().mark, stranger().opening())
    assert again.holder.beat >= first.clock.uptime
    assert swap(tmp_path, '"token": "other"', stranger(who="eve").opening()).holder.who == "ada"


def test_a_run_that_lost_its_host_hears_it_at_its_next_step(hosts, monkeypatch):
    run_lock.take(STATE, ONE, "deploy.py")
    hosts.write("one", stranger())
    monkeypatch.setattr(run_lock, "PERIOD", 0)
    gevent.sleep(0.2)
    with pytest.raises(run_lock.HoldLost, match=r"the run of ada@attic .* does: look at it"):
        run_lock.check(ONE)
    run_lock.release()
    assert hosts.lock("one").who == "ada"


def test_a_run_that_slept_looks_before_it_goes_on(hosts, monkeypatch):
    run_lock.take(STATE, ONE, "deploy.py")
    assert run_lock.lost(ONE) == ""
    hosts.write("one", stranger())
    now = run_lock._now()
    monkeypatch.setattr(run_lock, "_now", lambda: now + 3600)
    assert "ada@attic" in run_lock.lost(ONE)
    run_lock.release()


def test_after_a_reboot_by_this_run_the_host_is_taken_again(hosts):
    run_lock.take(STATE, ONE, "deploy.py")
    (hosts.root / "one" / "run.lock").unlink()
    run_lock.take_again(ONE)
    assert hosts.lock("one").pid == os.getpid()
    hosts.write("one", stranger())
    with pytest.raises(run_lock.HoldLost, match="ada@attic"):
        run_lock.take_again(ONE)
    run_lock.release()


def test_a_look_changes_nothing(hosts):
    assert run_lock.living(STATE, ONE) is None
    assert hosts.lock("one") is None
    hosts.write("one", stranger())
    assert "ada@attic" in str(run_lock.living(STATE, ONE))
    assert hosts.lock("one").who == "ada"
    hosts.deaf.add("one")
    assert run_lock.living(STATE, ONE) is None


RACER = """
import subprocess, sys
from gpuhost import holder
from gpuhost.operations import swapping
folder, expected = sys.argv[1:]
me = holder.me("race")
print("ready", flush=True)
sys.stdin.readline()
done = subprocess.run(["sh", "-c", swapping.script(folder, expected, me.opening())],
                      capture_output=True, text=True, check=True)
found = swapping.answer(done.stdout.splitlines())
print(int(found.holder.token == me.token))
"""


@pytest.mark.parametrize("dead", [False, True], ids=["free", "dead"])
def test_of_takers_that_race_one_wins(dead, tmp_path):
    expected = swap(tmp_path, "", stranger().opening()).line if dead else ""
    racers: list[Any] = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), expected],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * len(racers)
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert sorted(int(racer.communicate()[0]) for racer in racers) == [0, 0, 0, 1]
