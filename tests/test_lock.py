import pytest
import yaml

from gpuhost import lock as locks
from gpuhost.lock import Lock, LockedImage, LockError
from gpuhost.startup import BadSettings, check_lock

IMAGE = LockedImage(
    reference="registry.example:5000/sd:nightly",
    digest=f"sha256:{'1' * 64}",
    platform="linux/amd64",
    created="2026-09-01T00:00:00Z",
    size=6_000_000_000,
    labels={"org.gpuhost.cuda": "12.8"},
    resolved_at="2026-11-22T21:26:46+00:00",
    resolved_by="me@home",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home.lock.yaml"


def test_no_file_is_an_empty_lock(path):
    assert locks.read(path) == Lock()


def test_an_empty_file_is_refused(path):
    path.write_text("")
    with pytest.raises(LockError, match=r"should be a lock of images"):
        locks.read(path)


def test_what_is_written_is_read_back(path):
    arm = LockedImage(**{**vars(IMAGE), "platform": "linux/arm64", "labels": {}, "env": {"A": "b"}})
    lock = Lock().with_image(IMAGE).with_image(arm)
    locks.write(path, lock)
    assert locks.read(path) == lock


def test_the_other_platform_has_a_key_of_its_own():
    assert locks.key("a:1", "linux/amd64") == "a:1"
    assert locks.key("a:1", "linux/arm64") == "a:1 (linux/arm64)"


def test_the_file_can_be_reviewed(path):
    locks.write(path, Lock().with_image(IMAGE))
    text = path.read_text()
    assert text.startswith("# ")
    assert yaml.safe_load(text) == {
        "version": 1,
        "images": {
            IMAGE.reference: {
                "digest": IMAGE.digest,
                "platform": "linux/amd64",
                "created": "2026-09-01T00:00:00Z",
                "size": 6_000_000_000,
                "labels": {"org.gpuhost.cuda": "12.8"},
                "resolved_at": "2026-11-22T21:26:46+00:00",
                "resolved_by": "me@home",
            }
        },
    }


def test_the_same_lock_is_the_same_file(path, tmp_path):
    one, two = Lock().with_image(IMAGE), LockedImage(**{**vars(IMAGE), "reference": "a:1"})
    locks.write(path, one.with_image(two))
    other = tmp_path / "other.lock.yaml"
    locks.write(other, Lock().with_image(two).with_image(IMAGE))
    assert path.read_text() == other.read_text()


def test_problems_are_not_written_down(path):
    locks.write(path, Lock().with_image(IMAGE).with_problem("b:1", "denied"))
    assert locks.read(path).problems == {}


def test_the_file_is_replaced_whole_and_readable_by_all(path):
    path.write_text("old")
    before = path.stat().st_ino
    locks.write(path, Lock())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text",
    [
        "images: [",
        "- a\n",
        "version: 1\n",
        "images: {'a:1': {digest: x}}\n",
        "images: {'a:1': {digest: x, platform: p, created: c, size: 1, colour: blue}}\n",
        "images: {1: {}}\n",
        "images: []\n",
        "x: \x07\n",
        "images: {'a:1': null}\n",
    ],
)
def test_what_is_no_lock_is_refused_in_one_line(path, text):
    path.write_text(text)
    with pytest.raises(LockError) as caught:
        locks.read(path)
    assert str(caught.value).startswith(f"{path}: should be a lock of images, got ")
    assert "\n" not in str(caught.value)


def test_a_run_stops_at_a_lock_that_cannot_be_read(path):
    path.write_text("- a\n")
    with pytest.raises(BadSettings, match="should be a lock of images"):
        check_lock(path)


def test_a_run_needs_no_lock(path):
    assert (check_lock(path), check_lock(None)) == (path, None)


def test_only_what_planning_reads_is_kept():
    labels = {
        "org.gpuhost.cuda": "12.8",
        "maintainer": "x",
        "org.opencontainers.image.version": "1",
    }
    assert locks.kept(labels, locks.KEPT_LABELS) == {
        "org.gpuhost.cuda": "12.8",
        "org.opencontainers.image.version": "1",
    }
    variables = {"PATH": "/", "NVIDIA_REQUIRE_CUDA": "cuda>=12.8", "SECRET": "x"}
    assert locks.kept(variables, locks.KEPT_VARIABLES) == {"NVIDIA_REQUIRE_CUDA": "cuda>=12.8"}
