"""The host's report and its prune, on an engine in memory and records on the disk."""

import fcntl
import json

import pytest

from gpuhost import host_records
from gpuhost.hostside import build_cache, docker, engine_api, holdings, inside, journal, report
from gpuhost.hostside.inside import Answer
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.pruning import prune
from gpuhost.hostside.records import Proven, Records, StoredRelease
from gpuhost.retention import Rules, decide
from tests.fake_engine import Engine

REPOSITORY = "registry.example/webui"
RULES = Rules(frozenset({REPOSITORY}), frozenset({"webui"}), keep=1, keep_failed_days=0)
DIGESTS = [f"sha256:{number:064x}" for number in range(10)]


def names(number):
    return f"{REPOSITORY}:gpuhost-{number:012x}", f"{REPOSITORY}@{DIGESTS[number]}"


@pytest.fixture
def engine(monkeypatch):
    found = Engine()
    monkeypatch.setattr(docker, "docker", found)
    monkeypatch.setattr(holdings, "docker", found)
    monkeypatch.setattr(engine_api, "problem", lambda: "")
    monkeypatch.setattr(engine_api, "ask", lambda *_: [{"Id": "i1", "SharedSize": 60}])
    monkeypatch.setattr(build_cache, "size", lambda: 7)
    monkeypatch.setattr(inside, "ask", lambda *_: Answer(failed="idle", reason="busy: 1 job"))
    return found


def stored(number, root):
    """A release of image `number`, proven as the newest."""
    release = StoredRelease(
        f"{number:012x}", "webui", "gpuhost-webui", names(number)[1], f"{REPOSITORY}:nightly", "/c",
        (), (), {}, ("127.0.0.1", 7860), "/srv", 30, 0, 0.0, 5,
    )  # fmt: skip
    records = Records(Places("webui", root))
    records.keep(release)
    records.prove(Proven(release.id, release.image, "2026-01-01T00:00:00Z"))
    return release.id


@pytest.fixture
def root(engine, tmp_path):
    """Three releases were proven, the last one runs; a failed container is left."""
    for number in (1, 2, 3):
        engine.image(f"i{number}", *names(number))
        stored(number, tmp_path)
    engine.image("i9", "mysql:8")
    engine.container("theirs", "i9", "running")
    engine.container("gpuhost-webui", "i3", "running", "webui", f"{3:012x}")
    engine.container("gpuhost-webui-failed", "i1", "exited", "webui", f"{1:012x}", "failed_default")
    project = f"gpuhost-webui-{1:012x}"
    engine.networks["n1"] = {"Id": "n1", "name": "failed_default", "project": project}
    write(tmp_path, Journal("j1", "webui", f"{3:012x}", state=journal.COMMITTED))
    return tmp_path


def write(root, entry):
    Places("webui", root).journal.write_text(json.dumps(entry.to_json()))


def decided(root):
    return decide(host_records.read(json.loads(json.dumps(report.report(root)))), RULES).orders()


def outcomes(result):
    return {(one["kind"], one["name"]): one["outcome"] for one in result["done"]}


IMAGE = ("image", names(1)[1])
CONTAINER = ("container", "gpuhost-webui-failed")
NETWORK = ("network", "failed_default")
RELEASE = ("release", f"webui {1:012x}")


def test_the_report_says_everything(root):
    found = host_records.read(json.loads(json.dumps(report.report(root))))
    assert {one.id: one.own for one in found.images} == {
        "i1": 40,
        "i2": None,
        "i3": None,
        "i9": None,
    }
    assert [one.role for one in found.containers] == ["live", "failed", ""]
    assert [one.ended for one in found.containers] == [0, 1767398400, 0]
    assert found.networks[0].containers == {"c-gpuhost-webui-failed"}
    assert (found.build_cache, found.of("webui").busy) == (7, "busy")
    assert [one.id for one in found.of("webui").stored] == [
        f"{number:012x}" for number in (1, 2, 3)
    ]
    assert found.disks["/"].free > 0


def test_few_calls_are_enough(root, engine):
    report.report(root)
    assert len(engine.calls) == 6


def test_an_engine_that_is_down_is_said_and_the_records_are_still_there(root, monkeypatch):
    monkeypatch.setattr(engine_api, "problem", lambda: "down: nothing answers")
    found = host_records.read(report.report(root))
    assert (found.problem, found.images) == ("down: nothing answers", ())
    assert len(found.of("webui").proven) == 3
    assert prune(decided(root), root)["engine"] == "down: nothing answers"


def test_a_release_that_cannot_be_read_is_still_listed(root):
    Places("webui", root).release(f"{1:012x}").write_text("{")
    assert host_records.read(report.report(root)).of("webui").stored[0].image == ""


def test_what_was_decided_goes_and_nothing_else(root, engine):
    result = prune(decided(root), root)
    assert outcomes(result) == dict.fromkeys((CONTAINER, IMAGE, NETWORK, RELEASE), "removed")
    assert set(engine.images) == {"i2", "i3", "i9"}
    assert set(engine.containers) == {"theirs", "gpuhost-webui"}
    assert (result["sizes"], engine.networks) == (100, {})
    assert [one.release for one in Records(Places("webui", root)).proven()] == [
        f"{3:012x}", f"{2:012x}",
    ]  # fmt: skip
    assert not Places("webui", root).release(f"{1:012x}").parent.exists()
    assert not any("--force" in words or "-v" in words for words in engine.calls)
    assert outcomes(prune(decided(root), root)) == {}


def test_orders_that_were_carried_out_already_are_no_failure(root):
    orders = decided(root)
    prune(orders, root)
    assert set(outcomes(prune(orders, root)).values()) == {"removed"}


def test_where_a_switch_works_nothing_is_touched(root, engine):
    orders = decided(root)
    with open(Places("webui", root).guard, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = prune(orders, root)
    assert set(outcomes(result).values()) == {"skipped"}
    assert result["done"][0]["said"] == "a switch works on instance webui"
    assert "i1" in engine.images


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Journal("j1", "webui", "a", state=journal.GATING), "a switch of instance webui is gating"),
        (Journal("j2", "webui", "a", state=journal.COMMITTED), "webui was switched meanwhile"),
    ],
)
def test_after_another_switch_nothing_is_touched(entry, said, root, engine):
    orders = decided(root)
    write(root, entry)
    result = prune(orders, root)
    assert set(outcomes(result).values()) == {"skipped"}
    assert said in result["done"][0]["said"]


def test_an_instance_that_is_new_since_then_spares_all_images(root):
    orders = decided(root)
    (root / "second").mkdir()
    entry = Journal("j9", "second", "a", state=journal.COMMITTED)
    Places("second", root).journal.write_text(json.dumps(entry.to_json()))
    found = outcomes(prune(orders, root))
    assert (found[IMAGE], found[CONTAINER]) == ("skipped", "removed")


@pytest.mark.parametrize(
    ("change", "spared", "said"),
    [
        (lambda e: e.container("new", "i1", "running"), IMAGE, "container new uses it"),
        (lambda e: e.images["i1"]["RepoTags"].append("mine:1"), IMAGE, "now also called mine:1"),
        (lambda e: e.container("new", "i9", network="failed_default"), NETWORK, "uses it"),
        (lambda e: e.containers["gpuhost-webui-failed"]["State"].update(Status="running"),
         CONTAINER, "it is running"),
        (lambda e: e.containers["gpuhost-webui-failed"].update(Name="/gpuhost-webui"),
         CONTAINER, "now called gpuhost-webui"),
        (lambda e: e.container("x", "i9", "exited", "webui", f"{1:012x}"),
         RELEASE, "container x is of it"),
    ],
)  # fmt: skip
def test_what_changed_since_it_was_decided_stays(change, spared, said, root, engine):
    orders = decided(root)
    change(engine)
    result = prune(orders, root)
    (found,) = [one for one in result["done"] if (one["kind"], one["name"]) == spared]
    assert found["outcome"] == "skipped"
    assert said in found["said"]


def test_a_release_stays_when_its_image_did(root, engine):
    orders = decided(root)
    engine.container("new", "i1", "running")
    assert outcomes(prune(orders, root))[RELEASE] == "skipped"
    assert len(Records(Places("webui", root)).proven()) == 3


def test_what_the_engine_refuses_is_a_failure_in_its_words(root, engine, monkeypatch):
    orders = decided(root)

    def refuse(name):
        raise docker.DockerError("docker image: conflict: unable to delete")

    monkeypatch.setattr(engine, "_untag", refuse)
    result = prune(orders, root)
    (found,) = [one for one in result["done"] if one["outcome"] == "failed"]
    assert (found["kind"], found["said"]) == ("image", "docker image: conflict: unable to delete")


def test_a_release_is_never_looked_for_elsewhere(root):
    orders = decided(root)
    orders["releases"] = [{"id": "../..", "instance": "webui", "image": ""}]
    assert outcomes(prune(orders, root))["release", "webui ../.."] == "skipped"
    assert Places("webui", root).journal.exists()


def test_the_build_cache_is_cut(root, monkeypatch):
    orders, asked = decided(root), []

    def ask(method, path, timeout):
        asked.append((method, path))
        return {"SpaceReclaimed": 5}

    monkeypatch.setattr(engine_api, "ask", ask)
    result = prune({**orders, "build_cache": 1000}, root)
    assert outcomes(result)["build cache", "build cache"] == "removed"
    assert asked == [("POST", "/build/prune?keep-storage=1000&reserved-space=1000")]


def test_orders_of_another_version_are_refused(root):
    with pytest.raises(ValueError, match="another version"):
        prune({"version": 2}, root)
