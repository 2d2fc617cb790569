"""The lock as a file: what is written is read back, reviewed, and never half there."""

import multiprocessing
from dataclasses import replace
from difflib import ndiff
from operator import methodcaller
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhost import lock_file
from gpuhost.lock import Lock, LockedImage, LockError, Quarantined
from gpuhost.startup import BadSettings, check_lock
from tests.test_lock import AT, BY, IMAGE, digest, failed, image

LAYERS = (("1a2b3c4d5e6f", 29_000_000), ("123456789012", 30), ("000000000000", 0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home.lock.yaml"


def test_no_file_is_an_empty_lock(path):
    assert lock_file.read(path) == Lock()


def test_what_is_written_is_read_back(path):
    arm = replace(IMAGE, platform="linux/arm64", labels={}, env={"A": "b"}, created="")
    lock = Lock().with_image(IMAGE).with_image(replace(arm, layers=LAYERS, resolved_from="v1"))
    lock = lock.moved(image(2), AT, BY).quarantined(failed(3))
    lock_file.write(path, lock)
    assert lock_file.read(path) == lock


TEXTS = st.text(max_size=30)
IMAGES = st.builds(
    LockedImage,
    reference=st.sampled_from(["a:1", "registry.example:5000/b@c:nightly"]),
    digest=st.integers(0, 5).map(digest),
    platform=st.sampled_from(["linux/amd64", "linux/arm64"]),
    created=TEXTS,
    size=st.integers(0, 10**13),
    labels=st.dictionaries(TEXTS, TEXTS, max_size=2),
    env=st.dictionaries(TEXTS, TEXTS, max_size=2),
    resolved_at=TEXTS,
    resolved_by=TEXTS,
    resolved_from=TEXTS,
    layers=st.lists(
        st.tuples(st.from_regex("[0-9a-f]{12}", fullmatch=True), st.integers(0, 10**12)),
        max_size=3,
    ).map(tuple),
)
FAILURES = st.builds(
    Quarantined,
    digest=st.integers(0, 5).map(digest),
    reference=TEXTS, gate=TEXTS, reason=TEXTS, host=TEXTS, at=TEXTS,
)  # fmt: skip
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("moved"), IMAGES, TEXTS, TEXTS),
        st.tuples(st.just("quarantined"), FAILURES),
        st.tuples(st.just("lifted"), st.one_of(st.none(), st.integers(0, 5).map(digest))),
    ),
    max_size=12,
)


def after(changes):
    lock = Lock()
    for verb, *words in changes:
        found = getattr(lock, verb)(*words)
        lock = found[0] if verb == "lifted" else found
    return lock


@given(CHANGES)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_whatever_is_done_to_a_lock_is_read_back(path, changes):
    lock = after(changes)
    lock_file.write(path, lock)
    assert lock_file.read(path) == lock
    text = path.read_text()
    lock_file.write(path, lock_file.read(path))
    assert path.read_text() == text


def test_the_file_can_be_reviewed(path):
    lock = Lock().with_image(replace(IMAGE, layers=LAYERS)).moved(image(2), AT, BY)
    lock_file.write(path, lock.quarantined(failed(3)))
    assert (
        path.read_text()
        == f"""\
# What tags meant when they were resolved. Deploys converge to this.
version: 2
images:
  registry.example:5000/sd:nightly:
    digest: {digest(2)}
    platform: linux/amd64
    created: '2026-09-01T00:00:00Z'
    size: 6000000000
    labels:
      org.gpuhost.cuda: '12.8'
    resolved_at: '2026-11-22T21:26:46+00:00'
    resolved_by: me@home
history:
  registry.example:5000/sd:nightly:
  - digest: {IMAGE.digest}
    platform: linux/amd64
    created: '2026-09-01T00:00:00Z'
    size: 6000000000
    layers: ['1a2b3c4d5e6f:29000000', '123456789012:30', '000000000000:0']
    labels:
      org.gpuhost.cuda: '12.8'
    resolved_at: '2026-11-22T21:26:46+00:00'
    resolved_by: me@home
    replaced_at: '2026-11-28T10:00:00+00:00'
    replaced_by: me@home
quarantine:
- digest: {digest(3)}
  reference: registry.example:5000/sd:nightly
  gate: picture
  reason: black
  host: gpu-2
  at: '2026-11-28T10:00:00+00:00'
"""
    )


def test_many_layers_and_long_reasons_stay_on_one_line(path):
    entry = replace(failed(3), reason="no picture " * 30)
    lock = Lock().with_image(replace(IMAGE, layers=LAYERS * 20)).quarantined(entry)
    lock_file.write(path, lock)
    lines = path.read_text().splitlines()
    assert [line for line in lines if "1a2b3c" in line] == [
        line for line in lines if "layers:" in line
    ]
    assert len([line for line in lines if "no picture" in line]) == 1


def test_a_move_is_a_small_diff(path):
    one, other = Lock().with_image(image(1)).with_image(image(9, "b:1")), image(2)
    lock_file.write(path, one)
    before = path.read_text().splitlines()
    lock_file.write(path, one.moved(other, AT, BY))
    diff = list(ndiff(before, path.read_text().splitlines()))
    assert [line for line in diff if line[0] == "-"] == [f"-     digest: {digest(1)}"]
    added = [line[2:].strip() for line in diff if line[0] == "+"]
    assert added[:4] == [
        f"digest: {digest(2)}",
        "history:",
        f"{IMAGE.reference}:",
        f"- digest: {digest(1)}",
    ]


def test_the_same_lock_is_the_same_file(path, tmp_path):
    two, labels = image(1, "a:1"), {"com.nvidia.b": "1", "com.nvidia.a": "2"}
    lock_file.write(path, Lock().with_image(IMAGE).with_image(replace(two, labels=labels)))
    other = tmp_path / "other.lock.yaml"
    turned = replace(two, labels=dict(reversed(labels.items())))
    lock_file.write(other, Lock().with_image(turned).with_image(IMAGE))
    assert path.read_text() == other.read_text()


def test_problems_are_not_written_down(path):
    lock_file.write(path, Lock().with_image(IMAGE).with_problem("b:1", "denied"))
    assert lock_file.read(path).problems == {}


FIRST = f"""\
# What tags meant when they were resolved. Deploys converge to this.
version: 1
images:
  registry.example:5000/sd:nightly:
    digest: {IMAGE.digest}
    platform: linux/amd64
    created: '2026-09-01T00:00:00Z'
    size: 6000000000
    labels:
      org.gpuhost.cuda: '12.8'
    resolved_at: '2026-11-22T21:26:46+00:00'
    resolved_by: me@home
"""


def test_the_first_version_is_read(path):
    path.write_text(FIRST)
    assert lock_file.read(path) == Lock().with_image(IMAGE)
    assert lock_file.change(path, lambda lock: lock) == Lock().with_image(IMAGE)
    assert path.read_text() == FIRST


def test_the_file_is_replaced_whole_and_readable_by_all(path):
    path.write_text("old")
    before = path.stat().st_ino
    lock_file.write(path, Lock())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "yaml.dump"])
def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(path, monkeypatch, broken):
    lock_file.write(path, Lock().with_image(IMAGE))
    before = path.read_text()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="No space"):
        lock_file.change(path, lambda lock: lock.moved(image(2), AT, BY))
    assert path.read_text() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_nothing_is_written_where_nothing_changes(path):
    lock_file.write(path, Lock().with_image(IMAGE))
    before = path.stat().st_ino
    lock_file.change(path, lambda lock: lock.moved(IMAGE, AT, BY))
    assert path.stat().st_ino == before


def _add(path: Path, number: int) -> None:
    for host in range(5):
        entry = failed(number, f"gpu-{host}")
        lock_file.change(path, methodcaller("quarantined", entry))


def test_two_runs_do_not_lose_each_others_changes(path):
    runs = [multiprocessing.Process(target=_add, args=(path, number)) for number in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(lock_file.read(path).quarantine) == 20
    assert [one.name for one in path.parent.iterdir()] == [path.name]


ENTRY = f"digest: {digest(1)}, platform: linux/amd64, size: 1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a lock of images should be a mapping, got None"),
        ("- a\n", "a lock of images should be a mapping, got ['a']"),
        ("images: [", "should be YAML, got "),
        ("x: \x07\n", "should be YAML, got "),
        (b"\xff\xfe\xff", "should be YAML, got "),
        ("<<<<<<< HEAD\nversion: 2\n", "should be YAML, got "),
        ("!!python/object/apply:os.system ['x']\n", "should be YAML, got "),
        ("version: 2\nversion: 2\nimages: {}\n", "should be YAML, got 'version' twice in line 2"),
        ("version: 2\nimages:\n  a: {}\n  a: {}\n", "should be YAML, got 'a' twice in line 4"),
        ("images: {}\n", "version should be 1 or 2, got None"),
        ("version: 1\n", "images should be a mapping, got None"),
        ("version: 2\nimages: []\n", "images should be a mapping, got []"),
        ("version: 2\nimages: {}\nquarantin: []\n",
         "a lock of images should hold only version, images, history, quarantine, got 'quarantin'"),
        ("version: 2\nimages: {1: {}}\n", "images: 1 should hold digest, platform, size, got only"),
        ("version: 2\nimages: {'a:1': null}\n", "images: a:1 should be a mapping, got None"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY}, colour: blue}}}}\n",
         "images: a:1 should hold only digest, platform, "),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY.replace('0,', 'x,')}}}}}\n",
         "images: a:1: digest should be 'sha256:' and 64 hex digits, got 'sha256:"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY.replace('size: 1', 'size: true')}}}}}\n",
         "images: a:1: size should be a number, got True"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY}, created: 2026-09-01}}}}\n",
         "images: a:1: created should be text, got datetime.date(2026, 9, 1)"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY}, layers: [abc]}}}}\n",
         "images: a:1: layers should be like 1a2b3c4d5e6f:12345, got ['abc']"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY}, labels: {{a: 1}}}}}}\n",
         "images: a:1: labels: a should be text, got 1"),
        (f"version: 2\nimages: {{'a:1': {{{ENTRY.replace('amd64', 'arm64')}}}}}\n",
         "images: a:1: should be called 'a:1 (linux/arm64)', as its platform says"),
        (f"version: 2\nimages: {{}}\nhistory: {{'a:1': [{{{ENTRY}}}]}}\n",
         "history: a:1: entry 1 should hold replaced_at, replaced_by, got only digest, "),
        ("version: 2\nimages: {}\nhistory: {'a:1': {}}\n", "history: a:1 should be a list, got {}"),
        (f"version: 2\nimages: {{}}\nquarantine: [{{digest: '{digest(1)}'}}]\n",
         "quarantine: entry 1 should hold reference, gate, reason, host, at, got only digest"),
    ],
)  # fmt: skip
def test_what_is_no_lock_is_refused_in_one_line(path, text, says):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LockError) as caught:
        lock_file.read(path)
    assert str(caught.value).startswith(f"{path}: {says}")
    assert str(caught.value).endswith("restore it)") or "remove it to resolve anew)" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_another_version_is_refused_and_not_thrown_away(path):
    path.write_text("version: 3\nimages: {}\nshiny: true\n")
    with pytest.raises(LockError) as caught:
        lock_file.read(path)
    assert str(caught.value) == (
        f"{path}: version should be 1 or 2, got 3 (use the gpuhost that wrote it, or restore it)"
    )


def test_a_file_that_cannot_be_read_is_refused(path):
    path.mkdir()
    with pytest.raises(LockError, match="should be a file to read, got Is a directory"):
        lock_file.read(path)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_no_file_is_a_traceback(path, content):
    path.write_bytes(content)
    with pytest.raises(LockError):
        lock_file.read(path)


def test_a_run_stops_at_a_lock_that_cannot_be_read(path):
    path.write_text("- a\n")
    with pytest.raises(BadSettings, match="a lock of images should be a mapping"):
        check_lock(path)


def test_a_run_needs_no_lock(path):
    assert (check_lock(path), check_lock(None)) == (path, None)
