"""Every way in which a switch may end, and what it leaves on the host."""

from __future__ import annotations

import json

import pytest

from gpuhost.hostside import checking
from gpuhost.hostside.accepting import Refused
from gpuhost.hostside.docker import DockerError
from tests.hostside.world import DRIVER, LIVE, contents

GB = 10**9


@pytest.fixture
def settled(world):
    """A host whose instance runs release a."""
    assert world.go(world.release("a")).state == "committed"
    world.engine.calls.clear()
    return world


def called(world, *words):
    """Whether a command was given that begins so."""
    return [call for call in world.engine.calls if call[: len(words)] == words]


def test_committed(settled):
    entry = settled.go(settled.release("b"), kind="update", why="newer", by="me@home")
    assert (entry.state, entry.gate, entry.reason, entry.notes) == ("committed", "", "", [])
    assert (entry.kind, entry.why, entry.by, entry.back[0]) == ("update", "newer", "me@home", "a")
    assert settled.names == {LIVE: "b"}
    assert (settled.proven, settled.quarantined) == ("ba", {})
    assert (entry.bytes, entry.total) == (500, 1000)
    assert set(entry.seconds) == {"pulling", "checking", "draining", "switching", "gating"}
    assert entry.downtime == 1
    assert settled.engine.networks == {"gpuhost-webui-bbbbbbbbbbbb_default"}
    assert settled.live.policy == "unless-stopped"
    assert settled.records.history()[-1] == entry.to_json()


def test_the_old_image_outlives_the_switch(settled):
    settled.go(settled.release("b"))
    assert settled.engine.image("registry.example/app:gpuhost-aaaaaaaaaaaa")
    assert settled.engine.image("registry.example/app:gpuhost-bbbbbbbbbbbb")


def test_the_old_image_cannot_be_removed_while_the_new_one_is_not_proven(settled):
    tried = []
    settled.release("b")
    ask = settled.ask

    def meanwhile(*words):
        if "idle" not in words[1] and settled.live.release[0] == "b":
            with pytest.raises(DockerError, match="being used"):
                settled.engine.rmi(settled.stored["a" * 12].image)
            tried.append(True)
        return ask(*words)

    settled.ask = meanwhile
    assert settled.go(settled.stored["b" * 12]).state == "committed"
    assert tried


def test_skipped_while_somebody_makes_a_picture(settled):
    settled.busy = 10**6
    before, entry = settled.now, settled.go(settled.release("b"), drain_timeout=60)
    assert (entry.state, entry.gate, entry.reason) == (
        "skipped", "drain", "busy: a job, 12 % done"
    )  # fmt: skip
    assert settled.now - before < 70
    assert settled.names == {LIVE: "a"}
    assert not called(settled, "stop") + called(settled, "rename")
    assert (settled.proven, settled.quarantined) == ("a", {})


def test_a_picture_that_ends_in_time_is_waited_for(settled):
    settled.busy = 5
    assert settled.go(settled.release("b")).state == "committed"
    assert settled.engine.killed == []


def test_a_picture_begun_at_the_last_moment_is_waited_for(settled):
    settled.release("b")
    ask, asked = settled.ask, []

    def late(name, gates, *rest):
        if "idle" in gates:
            asked.append(gates["idle"])
            settled.busy = 1 if len(asked) == 2 else settled.busy
        return ask(name, gates, *rest)

    settled.ask = late
    assert settled.go(settled.stored["b" * 12]).state == "committed"
    assert asked[:4] == [600, 0, 600, 0]
    assert settled.busy == 0


def test_forced_though_busy(settled):
    settled.busy = 10**6
    entry = settled.go(settled.release("b"), drain_timeout=10, drain_on_timeout="force")
    assert entry.state == "committed"
    assert entry.notes == ["stopped all the same: busy: a job, 12 % done"]


ABANDONED = {
    "a pull that fails": (
        {"pull_error": "manifest unknown"}, "", {}, "registry.example/app: manifest unknown"),
    "another driver": ({"driver": "590.1"}, "", {},
        f"the driver is 590.1 now and was {DRIVER} when the image was found to fit it; run again"),
    "a host without its gpu": ({"listing": ""}, "", {},
        "nvidia-smi -L fails on the host: no devices"),
    "an image that sees none": ({}, "proof", {"b": "proof"},
        "a container of the image cannot start: docker run: could not select device driver"),
    "an image that sees other ones": ({}, "other GPUs", {"b": "proof"},
        "a container of the image sees other GPUs: ['GPU 9: other']"),
}  # fmt: skip


@pytest.mark.parametrize("name", ABANDONED)
def test_abandoned_before_anything_is_touched(settled, name):
    host, flaw, quarantined, reason = ABANDONED[name]
    release = settled.release("b", flaw)
    for key, value in host.items():
        setattr(settled, key, value)
    entry = settled.go(release)
    assert (entry.state, entry.reason) == ("abandoned", reason)
    assert settled.names == {LIVE: "a"}
    assert not called(settled, "stop") + called(settled, "rename") + called(settled, "compose")
    assert (settled.proven, settled.quarantined) == ("a", quarantined)
    assert not entry.stopped


@pytest.mark.parametrize("flaw", ["proof", "other GPUs"])
def test_an_image_is_not_to_blame_where_the_old_one_sees_no_gpu_either(settled, flaw):
    settled.live.image.flaw = "exec"
    entry = settled.go(settled.release("b", flaw))
    assert (entry.state, settled.quarantined) == ("abandoned", {})


def test_a_first_image_is_not_to_blame(world):
    entry = world.go(world.release("a", "proof"))
    assert (entry.state, world.quarantined, world.names) == ("abandoned", {}, {})


def test_without_a_proof_no_container_is_tried(settled):
    assert settled.go(settled.release("b", "proof"), proof=False).state == "committed"


def test_no_room_says_what_is_needed_free_and_reclaimable(settled):
    settled.go(settled.release("b", size=2 * GB))
    settled.engine.image(settled.stored["b" * 12].image).size = 5 * GB
    settled.engine.image(settled.stored["a" * 12].image).size = 7 * GB
    settled.free = 10 * GB
    entry = settled.go(settled.release("c", size=6 * GB), ratio=2.5, reserve=3 * GB)
    assert (entry.state, entry.reason) == (
        "abandoned",
        f"{settled.folder}: 10.0 GB free, 18.0 GB needed (6.0 GB missing x 2.5 unpacked"
        " + 3.0 GB reserve); 7.0 GB are reclaimable with gpuhost.tasks.prune",
    )
    assert settled.pulled == ["a" * 12, "b" * 12]


def test_layers_that_are_here_need_no_room(settled):
    settled.engine.image(settled.stored["a" * 12].image).layers = ("sha256:11aa", "sha256:22bb")
    settled.free = 400
    layers = [["11", 600], ["22b", 300], ["33", 100]]
    release = settled.release("b", size=1000)
    assert settled.go(release, layers=layers, ratio=3.0, reserve=50).state == "committed"
    assert settled.journal.total == 100


def test_layers_are_shared_only_from_the_bottom_up(settled):
    settled.engine.image(settled.stored["a" * 12].image).layers = ("sha256:99", "sha256:22")
    settled.free = 2000
    entry = settled.go(settled.release("b"), layers=[["11", 600], ["22", 400]])
    assert "(0 MB missing x 3 unpacked + 0 MB reserve)" in entry.reason
    assert (entry.state, entry.total) == ("abandoned", 1000)


def test_a_way_back_that_is_gone_is_no_way_to_begin(settled):
    settled.order(settled.release("b"))
    settled.engine.boxes[0].image.names.clear()
    settled.engine.boxes.clear()
    settled.engine.images.clear()
    assert settled.switch() == 1
    assert settled.journal.reason == (
        "the image of release aaaaaaaaaaaa is gone, there would be no way back"
    )
    assert settled.journal.state == "abandoned"


def test_an_image_without_any_name_is_named_again(settled):
    settled.live.image.names.clear()
    settled.order(settled.release("b", "gpu"))
    assert settled.journal.back == ""


def test_the_way_back_gets_its_tag_again(settled):
    settled.live.image.names.discard("registry.example/app:gpuhost-aaaaaaaaaaaa")
    assert settled.go(settled.release("b", "gpu")).state == "rolled back"
    assert settled.engine.image("registry.example/app:gpuhost-aaaaaaaaaaaa")


BAD = {
    "starts": ("starts", "docker start: Error response from daemon: could not select device"),
    "stays": ("starts", "the container does not stay up: running, exit code 0, restarted 2"),
    "answers": ("answers", "answers is no good"),
    "gpu": ("gpu", "gpu is no good"),
    "picture": ("picture", "picture is no good"),
    "published": ("published", "no answer at 127.0.0.1:7860 on the host"),
    "healthy": ("healthy", "the engine's health check did not pass in 60 s"),
    "bake: unhealthy": ("bake", "its health check fails"),
    "bake: restarts": ("bake", "it does not stay up: running"),
    "bake: exits": ("bake", "the container does not stay up: exited, exit code 139"),
    "bake: silent": ("bake", "it no longer answers at port 7860"),
}


@pytest.mark.parametrize("flaw", BAD)
def test_rolled_back_by_each_gate(settled, flaw):
    gate, reason = BAD[flaw]
    before = contents(settled.storage)
    (settled.folder / f"{'b' * 12}.log").write_text(
        "".join(json.dumps({"log": f"line {number}\n"}) + "\n" for number in range(40))
    )
    entry = settled.go(settled.release("b", flaw))
    assert (entry.state, entry.gate) == ("rolled back", gate)
    assert entry.reason.startswith(reason)
    assert settled.names == {LIVE: "a", f"{LIVE}-failed": "b"}
    assert settled.live.release[0] == "a"
    assert settled.live.policy == "unless-stopped"
    assert settled.engine.box(f"{LIVE}-failed").policy == "no"
    assert (settled.proven, settled.quarantined) == ("a", {"b": gate})
    assert contents(settled.storage) == before
    assert entry.log == [f"line {number}" for number in range(25, 40)]
    assert settled.engine.killed == []


def test_rolled_back_by_the_benchmark(world):
    slow = {"gates": {"answers": 60, "benchmark": 600}, "slowdown": 0.25}
    world.go(world.release("a", **slow))
    entry = world.go(world.release("b", "slow", **slow))
    assert (entry.state, entry.gate, entry.reason) == (
        "rolled back", "benchmark", "3.00 s a picture, 1.00 s before: more than 25% slower"
    )  # fmt: skip
    assert world.quarantined == {"b": "benchmark"}


@pytest.mark.parametrize("changes", [{"slowdown": 0.0}, {"slowdown": 2.5}])
def test_a_slow_release_is_fine_where_it_may_be_slow(world, changes):
    gates = {"answers": 60, "benchmark": 600}
    world.go(world.release("a", gates=gates, **changes))
    assert world.go(world.release("b", "slow", gates=gates, **changes)).state == "committed"
    assert world.records.proven()[0].figures == {"seconds_per_picture": 3.0}


def test_an_old_container_that_was_removed_meanwhile_is_made_anew(settled):
    settled.release("b", "picture")
    ask = settled.ask

    def meanwhile(name, gates, *rest):
        if "idle" not in gates and settled.live.release[0] == "b":
            settled.engine.boxes = [b for b in settled.engine.boxes if b.status == "running"]
            settled.engine.networks = {settled.live.network}
        return ask(name, gates, *rest)

    settled.ask = meanwhile
    entry = settled.go(settled.stored["b" * 12])
    assert entry.state == "rolled back"
    assert settled.live.release[0] == "a"


def test_failed_where_there_is_nothing_to_go_back_to(world):
    entry = world.go(world.release("a", "gpu"))
    assert (entry.state, entry.gate, entry.back) == ("failed", "gpu", "")
    assert world.names == {LIVE: "a"}
    assert (world.proven, world.quarantined) == ("", {})


def test_a_release_that_failed_first_may_be_tried_again(world):
    world.go(world.release("a", "gpu"))
    world.engine.images[0].flaw = ""
    assert world.go(world.stored["a" * 12], recreate=True).state == "committed"
    assert (world.names, world.proven) == ({LIVE: "a"}, "a")


def test_stranded_keeps_both_containers_and_both_images(settled):
    settled.order(settled.release("b", "gpu"))
    settled.live.image.flaw = "picture"
    assert settled.switch() == 2
    entry = settled.journal
    assert (entry.state, entry.gate) == ("stranded", "gpu")
    assert entry.notes == [
        "release aaaaaaaaaaaa did not come back: gate picture failed: picture is no good"
    ]
    assert settled.names == {LIVE: "a", f"{LIVE}-failed": "b"}
    assert {image.id[7] for image in settled.engine.images} == {"a", "b"}
    assert (settled.proven, settled.quarantined) == ("a", {"b": "gpu"})


def test_stranded_where_the_old_container_does_not_start(settled):
    settled.order(settled.release("b", "gpu"))
    settled.live.image.flaw = "starts"
    assert settled.switch() == 2
    assert settled.journal.notes[0].endswith("could not select device driver")
    assert settled.names == {LIVE: "a", f"{LIVE}-failed": "b"}


def test_an_old_container_whose_network_was_pruned_is_made_anew(settled):
    settled.order(settled.release("b", "picture"))
    started = settled.engine.started

    def prune(box):
        settled.engine.networks = {box.network}
        started(box)

    settled.engine.started = prune
    settled.switch()
    assert settled.journal.state == "rolled back"
    assert settled.live.release[0] == "a"


def test_the_way_back_is_tried_twice(settled):
    settled.order(settled.release("b", "gpu"))
    failed: list[bool] = []
    ask = settled.ask

    def once(name, gates, *rest):
        box = settled.engine.box(name)
        if box.release[0] == "a" and "idle" not in gates and not failed:
            failed.append(True)
            box.image.flaw = "answers"
            found = ask(name, gates, *rest)
            box.image.flaw = ""
            return found
        return ask(name, gates, *rest)

    settled.ask = once
    settled.switch()
    assert (settled.journal.state, failed) == ("rolled back", [True])


def test_a_repair_makes_the_same_release_anew(settled):
    before = settled.live.id
    entry = settled.go(settled.stored["a" * 12], known=True, kind="repair", recreate=True)
    assert (entry.state, entry.back) == ("committed", "")
    assert settled.live.id != before
    assert (settled.names, settled.proven, settled.pulled) == ({LIVE: "a"}, "a", ["a" * 12])


def test_a_repair_that_fails_leaves_the_container_to_be_looked_at(settled):
    settled.live.image.flaw = "gpu"
    entry = settled.go(settled.stored["a" * 12], known=True, recreate=True)
    assert (entry.state, settled.quarantined) == ("failed", {})
    assert settled.names == {LIVE: "a"}


def test_a_running_release_that_is_not_proven_is_made_anew_only_once_it_is_stopped(settled):
    settled.go(settled.release("b"))
    settled.records.forget({"b" * 12})
    settled.engine.broken = {"compose": "no space left on device"}
    entry = settled.go(settled.stored["b" * 12], recreate=True)
    assert entry.back[0] == "a"
    assert settled.engine.killed == []
    settled.engine.broken.clear()
    settled.records.lift({"b" * 12})
    assert settled.go(settled.stored["b" * 12], recreate=True).state == "committed"
    assert (settled.names, settled.engine.killed) == ({LIVE: "b"}, [])


def test_what_runs_and_is_not_proven_is_only_gated(settled):
    settled.records.forget({"a" * 12})
    before = settled.live.id
    assert settled.go(settled.stored["a" * 12]).state == "committed"
    assert (settled.live.id, settled.proven) == (before, "a")
    assert not called(settled, "stop")


def test_a_missing_image_is_pulled_under_the_running_container(settled):
    before = settled.live.id
    settled.live.image.names.clear()
    settled.release("a")
    assert settled.go(settled.stored["a" * 12]).state == "committed"
    assert (settled.live.id, settled.pulled) == (before, ["a" * 12, "a" * 12])


def test_a_container_that_was_restarted_long_ago_may_be_gated(settled):
    settled.live.restarts = 3
    settled.records.forget({"a" * 12})
    assert settled.go(settled.stored["a" * 12]).state == "committed"


def test_a_rollback_needs_neither_registry_nor_pull(settled):
    settled.go(settled.release("b"))
    settled.pull_error = "no route to host"
    entry = settled.go(settled.stored["a" * 12], known=True, kind="rollback")
    assert (entry.state, entry.kind) == ("committed", "rollback")
    assert (settled.names, settled.proven) == ({LIVE: "a"}, "ab")
    assert settled.pulled == ["a" * 12, "b" * 12]


def test_a_rollback_brings_the_settings_it_was_left_with(settled):
    config = settled.storage / "stable-diffusion-webui" / "config.json"
    before = config.read_bytes()
    settled.go(settled.release("b"))
    config.write_bytes(b'{"by": "b", "mine": true}')
    settled.go(settled.stored["a" * 12], known=True, kind="rollback")
    assert config.read_bytes() == before
    settled.go(settled.stored["b" * 12], known=True, kind="rollback")
    assert config.read_bytes() == b'{"by": "b", "mine": true}'


def test_a_release_that_is_not_stored_is_refused(settled):
    settled.release("b")
    with pytest.raises(Refused, match="release bbbbbbbbbbbb is not stored on this host"):
        settled.order(settled.stored["b" * 12], known=True)
    assert settled.journal.to[0] == "a"


@pytest.mark.parametrize("flaw", ["", "picture"])
def test_a_release_that_takes_the_host_down_again_and_again_is_given_up(settled, flaw):
    settled.order(settled.release("b", flaw))

    class Down(BaseException):
        pass

    def down(box):
        if box.release[0] == "b":
            raise Down

    settled.engine.started = down
    for number in range(3):
        with pytest.raises(Down):
            settled.switch()
        assert settled.journal.resumed == number
        for box in settled.engine.boxes:
            box.status = "exited" if box.status == "running" else box.status
    with pytest.raises(Down):
        settled.switch()
    settled.switch()
    entry = settled.journal
    assert (entry.state, entry.gate) == ("rolled back", "survives")
    assert entry.reason == "the switch was interrupted 4 times at switching"
    assert settled.live.release[0] == "a"
    assert settled.quarantined == {"b": "survives"}


def test_an_engine_that_goes_away_under_the_gates_is_no_failure(settled):
    settled.release("b")
    settled.hiccups = 3
    assert settled.go(settled.stored["b" * 12]).state == "committed"


def test_gates_that_can_never_run_are_a_failure(settled):
    settled.release("b")
    settled.hiccups = 8
    entry = settled.go(settled.stored["b" * 12])
    assert (entry.state, entry.gate) == ("rolled back", "starts")
    assert entry.reason.endswith("error during connect")


def test_memory_that_comes_late_is_waited_for(settled):
    settled.engine.lingers = 5
    before, entry = settled.now, settled.go(settled.release("b", bake=0))
    assert (entry.state, entry.notes) == ("committed", [])
    assert settled.now - before > 5 * 0.5


def test_memory_that_never_comes_is_waited_for_a_minute(settled):
    settled.engine.lingers = 10**6
    pid = settled.live.pid
    before, entry = settled.now, settled.go(settled.release("b", bake=0))
    assert entry.state == "committed"
    assert entry.notes == [f"processes [{pid}] still hold GPU memory"]
    assert 60 < settled.now - before < 70


def test_a_stop_that_fails_brings_the_old_release_back(settled):
    settled.order(settled.release("b"))
    settled.engine.broken = {"stop": "tried to kill container, but did not receive an exit event"}
    assert settled.switch() == 1
    assert (settled.journal.state, settled.journal.gate) == ("rolled back", "switching")
    assert settled.live.release[0] == "a"


def test_a_container_that_cannot_be_made_leaves_the_old_one_its_name_and_files(settled):
    settled.order(settled.release("b"))
    settled.engine.broken = {"compose --project-name gpuhost-webui-bbbbbbbbbbbb": "no space left"}
    settled.switch()
    assert (settled.journal.state, settled.journal.gate) == ("abandoned", "draining")
    assert (settled.names, settled.live.release[0]) == ({LIVE: "a"}, "a")
    compose = json.loads((settled.folder / "etc" / "compose.yaml").read_text())
    assert "a" * 12 in json.dumps(compose)


def test_a_foreign_leftover_does_not_stay_beside_what_came_back(settled):
    settled.go(settled.release("b"))
    settled.records.forget({"b" * 12})
    assert settled.go(settled.release("c", "gpu")).state == "rolled back"
    assert settled.names == {LIVE: "a", f"{LIVE}-failed": "c"}


def test_an_ended_switch_is_not_run_again(settled):
    settled.engine.calls.clear()
    assert settled.switch() == 0
    assert settled.engine.calls == []


def test_extensions_that_changed_are_told(settled):
    settled.order(settled.release("b", "picture"))
    extensions = settled.storage / "stable-diffusion-webui" / "extensions"
    ask = settled.ask

    def meanwhile(name, gates, *rest):
        if "idle" not in gates and settled.live.release[0] == "b":
            (extensions / "lovely" / ".git" / "refs" / "heads" / "main").write_text("2" * 40)
            (extensions / "other").mkdir(exist_ok=True)
        return ask(name, gates, *rest)

    settled.ask = meanwhile
    settled.switch()
    assert settled.journal.state == "rolled back"
    assert settled.journal.notes == [
        f"extension lovely was {'1' * 40}, is {'2' * 40}",
        "extension other was absent, is no git clone",
    ]


def test_the_order_is_taken_with_a_way_back(settled):
    """The release that runs, or else the newest proven one whose image is here."""
    settled.go(settled.release("b"))
    assert settled.order(settled.release("c")).back[0] == "b"
    settled.switch()
    settled.engine.boxes.clear()
    assert settled.order(settled.release("d")).back[0] == "c"
    settled.engine.images = [i for i in settled.engine.images if i.id[7] != "c"]
    assert settled.order(settled.stored["d" * 12]).back[0] == "b"
    settled.engine.images.clear()
    assert settled.order(settled.stored["d" * 12]).back == ""


def test_a_container_numbers_its_gpus_anew():
    outside = "GPU 1: NVIDIA GeForce RTX 4090 (UUID: GPU-5b1d0c3e-0a11-4c2f-9d3e-001600012684)"
    assert checking.uuid(outside) == checking.uuid(outside.replace("GPU 1:", "GPU 0:"))
    assert checking.uuid(outside) == "GPU-5b1d0c3e-0a11-4c2f-9d3e-001600012684"
