"""The program's commands: orders are taken one at a time, and boots take up what was left."""

from __future__ import annotations

import fcntl
import io
import json
import sys

import pytest

from gpuhost.hostside import __main__ as program
from gpuhost.hostside import places as places_module
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from tests.hostside.world import DRIVER, LIVE


@pytest.fixture
def host(world, monkeypatch):
    """A host whose instance runs release a, and its units."""
    world.go(world.release("a"))
    world.units = []
    root = world.places.root
    monkeypatch.setattr(program, "Places", lambda instance: Places(instance, root))
    monkeypatch.setattr(places_module, "instances", lambda: ["webui"])
    monkeypatch.setattr(program, "_start", world.units.append)
    monkeypatch.setattr(program, "docker", lambda *words, **_: world.engine.run(words))
    monkeypatch.setattr(program.time, "sleep", lambda _: None)
    return world


@pytest.fixture
def main(monkeypatch, capsys):
    def run(*words, order=None):
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(order)))
        code = program.main(list(words))
        said = capsys.readouterr()
        return code, said.out or said.err

    return run


def order_of(world, letter):
    release = world.release(letter)
    return {"request": {"release": release.id, "driver": DRIVER}, "release": release.to_json()}


def test_an_order_is_stored_before_the_unit_starts(host, main):
    code, said = main("accept", "webui", order=order_of(host, "b"))
    assert (code, json.loads(said)) == (0, {"attached": False, "id": host.journal.id})
    assert host.units == ["webui"]
    assert (host.journal.to[0], host.journal.back[0]) == ("b", "a")
    assert host.journal.resumed == -1
    code, said = main("run", "webui")
    assert code == 0
    assert said.startswith("instance webui: release bbbbbbbbbbbb: committed")


def test_an_unfinished_switch_is_not_overwritten(host, main):
    first = host.order(host.release("b"))
    code, said = main("accept", "webui", order=order_of(host, "c"))
    assert (code, json.loads(said)) == (0, {"attached": True, "id": first.id})
    assert host.units == ["webui"]
    assert host.records.release("c" * 12) is None
    main("run", "webui")
    _, said = main("accept", "webui", order=order_of(host, "c"))
    assert json.loads(said)["attached"] is False


def test_a_switch_at_work_is_attached_to(host, main):
    host.order(host.release("b"))
    with open(host.places.guard, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, said = main("accept", "webui", order=order_of(host, "c"))
        assert (code, json.loads(said)) == (0, {"attached": True, "id": host.journal.id})
        for verb in ("run", "remove"):
            assert main(verb, "webui") == (75, "instance webui: a switch is at work\n")
    assert host.names == {LIVE: "a"}


def test_a_boot_takes_up_what_was_interrupted(host, main):
    assert main("boot")[0] == 0
    assert host.units == []
    host.order(host.release("b"))
    assert main("boot") == (0, "instance webui: an interrupted switch goes on\n")
    assert host.units == ["webui"]


def test_a_boot_starts_what_the_engine_could_not_start(host, main):
    host.live.status, host.engine.boxes[0].error = "exited", "no CDI devices found"
    code, said = main("boot")
    assert (code, said) == (0, f"{LIVE}: started, it had failed: no CDI devices found\n")
    assert host.live.release[0] == "a"


def test_a_boot_tells_what_cannot_be_started(host, main):
    host.live.image.flaw = "starts"
    host.live.status, host.engine.boxes[0].error = "exited", "no CDI devices found"
    code, said = main("boot")
    assert code == 1
    assert said.startswith(f"{LIVE}: docker start: ")


@pytest.mark.parametrize(
    ("name", "error"), [(LIVE, ""), (f"{LIVE}-failed", "no CDI"), (f"{LIVE}-previous", "no CDI")]
)
def test_a_boot_leaves_what_a_person_stopped_and_what_is_put_aside(host, main, name, error):
    box = host.live
    box.status, box.name, box.error = "exited", name, error
    assert main("boot") == (0, "")
    assert box.status == "exited"


def test_quarantine_is_lifted_by_release_or_digest_or_as_a_whole(host, main):
    host.go(host.release("b", "gpu"))
    host.go(host.release("c", "picture"))
    line = {"release": "c" * 12, "digest": f"sha256:{'c' * 64}", "gate": "picture"}
    assert main("lift", "webui", "d") == (0, "")
    code, said = main("lift", "webui", "c" * 20)
    assert (code, json.loads(said)) == (0, line)
    assert host.quarantined == {"b": "gpu"}
    main("lift", "webui")
    assert host.quarantined == {}


def test_a_removed_instance_leaves_its_storage_and_its_records(host, main):
    host.go(host.release("b", "gpu"))
    assert main("remove", "webui") == (0, "")
    assert (host.names, host.engine.networks) == ({}, set())
    assert (host.storage / "stable-diffusion-webui" / "config.json").exists()
    assert host.proven == "a"


def test_a_removed_instance_does_not_come_back_at_the_next_boot(host, main):
    host.order(host.release("b"))
    main("remove", "webui")
    entry = host.journal
    assert (entry.state, entry.reason) == ("abandoned", "the instance was removed")
    assert host.records.history()[-1] == entry.to_json()
    assert main("boot") == (0, "")
    assert (host.units, host.names) == ([], {})


def test_a_run_without_an_order_says_so(host, main):
    code, said = main("run", "other")
    assert code == 1
    assert said.startswith("run: ")
    assert "there is no journal of a switch" in said


def test_a_run_whose_release_is_gone_says_so(host, main):
    host.order(host.release("b"))
    host.places.release("b" * 12).unlink()
    code, said = main("run", "webui")
    assert code == 1
    assert "release bbbbbbbbbbbb is not stored" in said


def test_a_unit_that_cannot_be_started_is_told(host, main, monkeypatch):
    def broken(*_, **__):
        raise program.subprocess.CalledProcessError(1, ["systemctl"])

    monkeypatch.undo()
    monkeypatch.setattr(program, "Places", lambda instance: Places(instance, host.places.root))
    monkeypatch.setattr(program.subprocess, "run", broken)
    monkeypatch.setattr(program, "unfinished", lambda _: Journal("1", "webui", "a"))
    code, said = main("accept", "webui", order={})
    assert code == 1
    assert said.startswith("accept: Command '['systemctl']' returned")
