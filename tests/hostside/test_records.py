"""What an instance remembers, and that nothing on a disk can confuse it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuhost.hostside import files
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places, instances
from gpuhost.hostside.records import (
    REMEMBERED,
    Proven,
    Quarantined,
    Records,
    StoredRelease,
    proven,
    quarantined,
)
from gpuhost.hostside.request import Request
from tests.hostside.world import World

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def passed(number: int, release: str = "") -> Proven:
    return Proven(release or f"{number:012d}", f"app@sha256:{number}", "now", {"x": number})


def failed(number: int) -> Quarantined:
    return Quarantined(f"{number:012d}", f"app@sha256:{number}", "gpu", "none", "now")


@pytest.fixture
def records(tmp_path):
    return Records(Places("webui", tmp_path))


def test_a_release_is_read_as_it_was_kept(records, tmp_path):
    release = World(tmp_path).release("a", labels={"org.gpuhost.cuda": "12.8"})
    records.keep(release)
    assert records.release(release.id) == release
    path = records.places.release(release.id)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert records.release("unknown") is None


def test_a_release_says_nothing_of_its_files(tmp_path):
    release = World(tmp_path).release("a")
    assert release.files[0].content not in repr(release)


def test_proven_releases_are_newest_first_each_once_and_bounded(records):
    for number in range(REMEMBERED + 5):
        records.prove(passed(number))
    records.prove(passed(99, f"{30:012d}"))
    found = records.proven()
    assert len(found) == REMEMBERED
    assert found[0] == passed(99, f"{30:012d}")
    assert [one.release for one in found].count(f"{30:012d}") == 1
    assert found[1] == passed(REMEMBERED + 4)


def test_figures_are_those_of_the_newest_of_some_releases(records):
    for number in range(5):
        records.prove(passed(number))
    assert records.figures([f"{1:012d}", f"{3:012d}"]) == {"x": 3}
    assert records.figures(["unknown"]) == {}


def test_quarantine_is_bounded_and_lifted(records):
    for number in range(REMEMBERED + 5):
        records.quarantine(failed(number))
    assert len(records.quarantined()) == REMEMBERED
    newest = failed(REMEMBERED + 4)
    assert records.lift({newest.release, "unknown"}) == [newest]
    assert records.lift({newest.release}) == []
    assert newest not in records.quarantined()


def test_what_is_proven_is_no_longer_in_quarantine(records):
    records.quarantine(failed(1))
    records.quarantine(failed(2))
    records.prove(passed(1))
    assert records.quarantined() == [failed(2)]


def test_what_is_forgotten_is_no_longer_proven(records):
    records.prove(passed(1))
    records.prove(passed(2))
    records.forget({passed(1).release})
    assert records.proven() == [passed(2)]


def test_history_is_oldest_first_and_bounded(records):
    assert records.history() == []
    for number in range(9):
        records.remember({"id": str(number)})
    assert [line["id"] for line in records.history(3)] == ["6", "7", "8"]


def test_history_passes_over_what_a_crash_cut_off_or_wrote_twice(records):
    records.remember({"id": "1", "state": "x"})
    with records.places.history.open("ab") as file:
        file.write(b'{"id": "2"\n"3"\n[]\n{}\n\xff\n')
    records.remember({"id": "1", "state": "y"})
    records.remember({"id": "4"})
    assert records.history() == [{"id": "1", "state": "y"}, {"id": "4"}]


@given(JSON)
def test_any_document_is_read_or_passed_over(document):
    assert proven(document) == []
    assert quarantined(document) == []
    assert StoredRelease.from_json(document) is None
    assert Journal.from_json(document) is None
    if not isinstance(document, dict) or not isinstance(document.get("release"), str):
        with pytest.raises(ValueError, match=r"^request: should name a release$"):
            Request.from_json(document)


def test_rows_of_another_version_are_read_as_far_as_they_go():
    row = {"release": "a", "image": "app@sha256:1", "at": "now", "colour": "blue"}
    assert proven([row, {"release": "b"}, 1]) == [Proven("a", "app@sha256:1", "now")]
    assert proven([row])[0].digest == "sha256:1"
    assert quarantined([row]) == []


def test_a_journal_of_another_version_is_read_as_far_as_it_goes():
    found = Journal.from_json({"id": "1", "instance": "webui", "to": "a", "colour": "blue"})
    assert found == Journal("1", "webui", "a")
    assert found.unfinished


def test_a_journal_survives_the_disk():
    entry = Journal("1", "webui", "a", "b", state="gating", stopped=True, notes=["x"])
    assert Journal.from_json(json.loads(json.dumps(entry.to_json()))) == entry


@pytest.mark.parametrize("layers", [1, [1], [["a"]], [["a", "b"]], [["a", None]], [[1, 2, 3]]])
def test_odd_layers_are_refused(layers):
    with pytest.raises(ValueError):
        Request.from_json({"release": "a", "layers": layers})


def test_a_request_survives_the_disk():
    request = Request("a", layers=(("sha256:1", 5),), recreate=True)
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_instances_are_those_with_a_journal(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
    files.write_json(Places("b", tmp_path).journal, {})
    files.write_json(Places("a", tmp_path).journal, {})
    assert instances(tmp_path) == ["a", "b"]


def test_the_project_and_the_tag_are_of_this_release(tmp_path):
    release = World(tmp_path).release("a")
    assert release.project == "gpuhost-webui-aaaaaaaaaaaa"
    assert release.keep_tag == "registry.example/app:gpuhost-aaaaaaaaaaaa"
    assert release.repository == "registry.example/app"


def noting(done, name, real):
    def call(*words):
        done.append(name)
        return real(*words)

    return call


def test_a_file_is_written_beside_synced_and_renamed(tmp_path, monkeypatch):
    done: list[str] = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noting(done, name, getattr(os, name)))
    path = tmp_path / "new" / "file"
    files.write(path, b"\x00one", 0o640, (os.getuid(), os.getgid()))
    assert done == ["fsync", "replace", "fsync"]
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"\x00one", 0o640)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("broken", ["fsync", "replace", "fchmod"])
def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch, broken):
    path = tmp_path / "file"
    files.write(path, b"old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="no space left"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_secret_is_never_readable_by_others(tmp_path, monkeypatch):
    modes: list[int] = []

    def seen(handle: int, mode: int, real: Any = os.fchmod) -> None:
        modes.append(os.fstat(handle).st_mode & 0o777)
        real(handle, mode)

    monkeypatch.setattr(os, "fchmod", seen)
    previous = os.umask(0)
    try:
        files.write(tmp_path / "login", b"secret", 0o400)
    finally:
        os.umask(previous)
    assert modes == [0o600]
    assert (tmp_path / "login").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", None])
def test_a_document_that_cannot_be_read_is_something_else(tmp_path: Path, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    assert files.read_json(path, "else") == "else"
