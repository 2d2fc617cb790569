"""All hosts of a run are held, or none."""

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from gpuhost.operations import hold, run_lock, swapping
from tests.lockable import Hosts, named, stranger

ONE = named("one")
FLEET = [named(name) for name in ("c", "a", "b")]


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    found = Hosts(tmp_path)
    monkeypatch.setattr(swapping, "remote", found)
    monkeypatch.setattr(run_lock, "_held", {})
    monkeypatch.setattr(hold, "_taken", [])
    monkeypatch.setattr(hold, "_expected", set())
    monkeypatch.setattr(hold, "PAUSE", 0.1)
    return found


def fleet(wait=0) -> Any:
    return SimpleNamespace(gpuhost_what="deploy.py", gpuhost_wait=wait)


def test_a_fleet_is_held_as_a_whole(hosts):
    taken = hold.take_all(fleet(), FLEET)
    assert (taken.refused, taken.broken) == ([], {})
    assert all(hosts.lock(one.name) for one in FLEET)
    run_lock.release()


def test_a_fleet_of_which_one_host_is_held_is_not_touched_at_all(hosts):
    hosts.write("b", stranger())
    taken = hold.take_all(fleet(), FLEET)
    assert len(taken.refused) == 1
    assert taken.refused[0].startswith("b is held by the run of ada@attic")
    assert taken.refused[0].endswith("or add --data wait=SECONDS")
    assert [hosts.lock(name) for name in "ac"] == [None, None]


def test_the_first_host_decides_between_two_runs_on_the_same_hosts(hosts):
    hosts.write("a", stranger())
    hold.take_all(fleet(), FLEET)
    assert set(hosts.asked) == {"a"}


def test_a_host_that_cannot_be_asked_fails_alone(hosts):
    hosts.deaf.add("a")
    taken = hold.take_all(fleet(), FLEET)
    assert list(taken.broken) == ["a"]
    assert taken.refused == []
    assert all(hosts.lock(name) for name in "bc")
    run_lock.release()


def test_who_waits_gets_the_hosts_when_the_other_run_ends(hosts, capsys):
    hosts.write("b", stranger())
    gevent.spawn_later(0.3, (hosts.root / "b" / "run.lock").unlink)
    taken = hold.take_all(fleet(wait=20), FLEET)
    assert (taken.refused, taken.waited) == ([], True)
    assert "ada@attic" in capsys.readouterr().err
    run_lock.release()


def test_who_waited_in_vain_is_refused(hosts):
    hosts.write("b", stranger())
    assert "it still is after 1 s" in hold.take_all(fleet(wait=1), FLEET).refused[0]


def test_the_first_host_asks_for_all_that_still_take_part(hosts):
    state = fleet()
    for one in FLEET:
        hold.expect(one)
    state.active_hosts = set(FLEET[1:])
    first = hold._together(state, FLEET[1])
    assert hold._together(state, FLEET[2]) is first
    assert sorted(hosts.asked) == ["a", "b"]
    run_lock.release()


def test_a_living_run_is_outlasted_as_long_as_asked_to(hosts, capsys):
    assert hold.outlast(fleet(), ONE)
    hosts.write("one", stranger())
    assert not hold.outlast(fleet(), ONE)
    assert capsys.readouterr().err == ""
    gevent.spawn_later(0.3, (hosts.root / "one" / "run.lock").unlink)
    assert hold.outlast(fleet(wait=20), ONE)
    assert "waiting for it, 20 s at most" in capsys.readouterr().err
