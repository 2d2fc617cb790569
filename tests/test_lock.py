"""What a lock holds, and what may be done to it."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhost import lock as locks
from gpuhost.lock import (
    MOST_QUARANTINED,
    MOST_REPLACED,
    Lock,
    LockedImage,
    LockError,
    Quarantined,
    Replaced,
    stale,
)

AT, BY = "2026-11-28T10:00:00+00:00", "me@home"
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


def digest(number):
    return f"sha256:{number:08x}{'0' * 56}"


def image(number, reference=IMAGE.reference, platform="linux/amd64"):
    return replace(IMAGE, reference=reference, digest=digest(number), platform=platform)


def failed(number, host="gpu-2", gate="picture"):
    return Quarantined(digest(number), IMAGE.reference, gate, "black", host, AT)


def moved(*numbers):
    lock = Lock()
    for number in numbers:
        lock = lock.moved(image(number), AT, BY)
    return lock


def test_the_other_platform_has_a_key_of_its_own():
    assert locks.key("a:1", "linux/amd64") == "a:1"
    assert locks.key("a:1", "linux/arm64") == "a:1 (linux/arm64)"


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
    variables = {"PATH": "/", "NVIDIA_REQUIRE_CUDA": "cuda>=12.8 " * 60, "SECRET": "x"}
    assert locks.kept(variables, locks.KEPT_VARIABLES) == {
        "NVIDIA_REQUIRE_CUDA": "cuda>=12.8 " * 60
    }
    assert locks.kept({"org.gpuhost.x": "a\ud800"}, locks.KEPT_LABELS) == {"org.gpuhost.x": "a?"}


def test_a_problem_takes_the_image_away_so_that_hosts_are_refused():
    lock = Lock().with_image(IMAGE).with_problem(IMAGE.key, "503")
    assert (lock.images, lock.problems) == ({}, {IMAGE.key: "503"})


def test_the_first_image_has_no_history():
    assert moved(1) == Lock().with_image(image(1))


def test_a_move_makes_history():
    assert moved(1, 2).images == {IMAGE.reference: image(2)}
    assert moved(1, 2).history == {IMAGE.reference: (Replaced(image(1), AT, BY),)}


def test_a_move_to_the_same_digest_is_none():
    lock = moved(1, 2)
    assert lock.moved(replace(image(2), created="now"), "later", "you") is lock


def test_a_move_of_one_key_leaves_the_others():
    other = image(7, "b:1")
    lock = moved(1).with_image(other).moved(image(2), AT, BY)
    assert lock.images["b:1"] == other
    assert set(lock.history) == {IMAGE.reference}


@given(st.lists(st.integers(0, 4), max_size=40))
@settings(deadline=None, max_examples=60)
def test_history_is_bounded_and_newest_first_and_never_says_a_digest_twice_in_a_row(numbers):
    lock = Lock()
    states: list[int] = []
    for number in numbers:
        lock = lock.moved(image(number), AT, BY)
        if states[-1:] != [number]:
            states.append(number)
    history = [old.image.digest for old in lock.history.get(IMAGE.reference, ())]
    current = [one.digest for one in lock.images.values()]
    wanted = [digest(number) for number in reversed(states)]
    assert current + history == wanted[: MOST_REPLACED + 1]
    assert all(a != b for a, b in zip(current + history, history, strict=False))


def test_a_digest_is_quarantined_once_for_each_host():
    lock = Lock().quarantined(failed(1)).quarantined(failed(1, gate="gpu"))
    assert lock.quarantine == (failed(1),)
    assert lock.quarantined(failed(1, "gpu-3")).quarantine == (failed(1, "gpu-3"), failed(1))
    assert lock.is_quarantined(digest(1))
    assert not lock.is_quarantined(digest(2))


def test_a_reason_becomes_one_line():
    entry = replace(failed(1), reason="Traceback\n  line\t\ud800" + "x" * 1000)
    found = Lock().quarantined(entry).quarantine[0].reason
    assert found.startswith("Traceback line ?xxx")
    assert len(found) == locks.MOST_REASON


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 70)), max_size=130))
@settings(deadline=None, max_examples=60)
def test_quarantine_is_bounded_and_the_newest_is_in_it(pairs):
    lock = Lock()
    for number, host in pairs:
        known = list(lock.quarantine)
        lock = lock.quarantined(failed(number, str(host)))
        assert len(lock.quarantine) <= MOST_QUARANTINED
        assert lock.is_quarantined(digest(number))
        if len({one.digest for one in known} | {digest(number)}) <= MOST_QUARANTINED:
            assert {one.digest for one in known} <= {one.digest for one in lock.quarantine}


def test_many_hosts_do_not_push_another_digest_out():
    lock = Lock().quarantined(failed(1))
    for host in range(200):
        lock = lock.quarantined(failed(2, f"gpu-{host}"))
    assert lock.quarantine[-1] == failed(1)
    assert lock.quarantine[0].host == "gpu-199"


@pytest.mark.parametrize("text", [digest(1), "00000001", "sha256:000000010", "SHA256:00000001 "])
def test_quarantine_is_lifted_by_digest_or_prefix(text):
    lock = Lock().quarantined(failed(1)).quarantined(failed(2)).quarantined(failed(1, "gpu-9"))
    after, gone = lock.lifted(text)
    assert (after.quarantine, gone) == ((failed(2),), (failed(1, "gpu-9"), failed(1)))


def test_all_quarantine_is_lifted():
    lock = Lock().quarantined(failed(1)).quarantined(failed(2))
    assert lock.lifted(None) == (Lock(), (failed(2), failed(1)))


def test_lifting_what_is_not_there_lifts_nothing():
    lock = Lock().quarantined(failed(1))
    assert lock.lifted("abcdef") == (lock, ())


def test_lifting_a_prefix_of_several_is_refused():
    lock = Lock().quarantined(failed(1)).quarantined(failed(2))
    with pytest.raises(LockError, match=r"^digest 000000: starts several \(000000010000, 000000"):
        lock.lifted("000000")


@pytest.mark.parametrize("text", ["", "abc", "sha256:", "nightly", "md5:abcdef01", "0" * 200])
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(LockError, match="should be 'sha256:' and 64 hex digits, or 6 or more"):
        moved(1).image_of(text)
    with pytest.raises(LockError, match="should be 'sha256:' and 64 hex digits, or 6 or more"):
        Lock().lifted(text)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_image_is_found_among_current_and_replaced_ones(number):
    lock = moved(1, 2, 3)
    assert lock.image_of(digest(number)) == image(number)
    assert lock.image_of(f"{number:08x}") == image(number)
    assert lock.image_of(f"sha256:{number:08x}", IMAGE.reference) == image(number)


def test_an_image_of_one_key_is_asked_for():
    other = image(1, "b:1")
    lock = moved(1, 2).with_image(other)
    assert lock.image_of(digest(1)) == other
    assert lock.image_of(digest(1), IMAGE.reference) == image(1)
    with pytest.raises(LockError, match="the lock has no such image"):
        lock.image_of(digest(2), "b:1")


def test_an_image_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(LockError) as caught:
        moved(1, 2).image_of("abcdef")
    assert str(caught.value) == (
        "digest abcdef: the lock has no such image, newest first it has 000000020000, 000000010000"
    )
    with pytest.raises(LockError, match="newest first it has none"):
        Lock().image_of("abcdef")


def test_the_prefix_of_several_images_is_refused():
    with pytest.raises(LockError, match=r"starts several \(.*\); give more digits"):
        moved(1, 2).image_of("000000")


NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("created", "says"),
    [
        ("2023-03-01T12:00:00Z", "built 2023-03-01, 1368 days ago"),
        ("2023-03-01T12:00:00.123456789+02:00", "built 2023-03-01, 1368 days ago"),
        ("2023-03-01", "built 2023-03-01, 1368 days ago"),
        ("2026-08-29T00:00:00Z", "built 2026-08-29, 91 days ago"),
        ("2026-08-30T00:00:00Z", ""),
        ("2027-01-01T00:00:00Z", ""),
        ("1970-01-01T00:00:00Z", ""),
        ("1980-01-01T00:00:01Z", ""),
        ("0001-01-01T00:00:00Z", ""),
        ("2023-02-30T00:00:00Z", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_an_old_image_is_stale(created, says):
    built = replace(IMAGE, created=created)
    assert stale(built, 90, NOW) == says
    assert stale(built, 90, NOW.replace(tzinfo=None)) == says
    assert stale(built, 0, NOW) == ""


@given(st.text(max_size=12), st.integers(), st.datetimes())
@settings(deadline=None, max_examples=60)
def test_no_date_is_too_odd(created, days, now):
    assert isinstance(stale(replace(IMAGE, created=created), days, now), str)
