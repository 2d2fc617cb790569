"""The registry that misbehaves: which answers its orders spoil, how often, and where they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.faulty import Faulty
from tests.lab.standins import faulty_registry
from tests.lab.standins.faulty_registry import Orders, Pace


@pytest.fixture
def ordered(tmp_path: Path) -> Callable[..., Orders]:
    def write(mode: str, **more: object) -> Orders:
        path = tmp_path / "control.json"
        path.write_text(json.dumps({"serial": "a", "mode": mode, "times": None, **more}))
        return Orders(path)

    return write


def test_without_orders_nothing_is_spoiled(tmp_path):
    assert Orders(tmp_path / "none").take("blobs", 9)["mode"] == "ok"


@pytest.mark.parametrize(
    ("mode", "only", "kinds"),
    [
        ("manifest-404", "", ["manifests"]),
        ("429", "", ["manifests", "blobs"]),
        ("500", "blobs", ["blobs"]),
    ],
)
def test_refusals_come_before_anything_is_asked(ordered, mode, only, kinds):
    orders = ordered(mode, only=only)
    asked = ("", "manifests", "blobs")
    assert [kind for kind in asked if orders.take(kind, None)["mode"] == mode] == kinds
    assert all(orders.take(kind, 9)["mode"] == "ok" for kind in asked)


@pytest.mark.parametrize("mode", ["truncate", "corrupt", "cut", "slow"])
def test_bodies_of_large_blobs_are_spoiled(ordered, mode):
    orders = ordered(mode, larger_than=100)
    assert orders.take("blobs", 101)["mode"] == mode
    assert orders.take("blobs", 100)["mode"] == "ok"
    assert orders.take("manifests", 101)["mode"] == "ok"
    assert orders.take("blobs", None)["mode"] == "ok"


def test_orders_end_after_so_many_times_and_new_ones_count_anew(ordered):
    orders = ordered("cut", times=2)
    assert [orders.take("blobs", 9)["mode"] for _ in range(3)] == ["cut", "cut", "ok"]
    again = ordered("cut", times=2, serial="b")
    orders.path = again.path
    assert orders.take("blobs", 9)["mode"] == "cut"


@pytest.mark.parametrize(
    ("mode", "size", "place", "limit"),
    [
        ("ok", 10, "", 10),
        ("corrupt", 10, "", 10),
        ("cut", 10, "", 5),
        ("cut", 6, "bytes 4-9/10", 3),
        ("truncate", 10, "", 5),
        ("truncate", 7, "bytes 3-9/10", 2),
        ("truncate", 5, "bytes 5-9/10", 0),
    ],
)
def test_where_an_answer_ends(mode, size, place, limit):
    assert faulty_registry._limit(mode, size, place) == limit


def test_one_pace_for_all():
    pace, begun = Pace(), time.monotonic()
    for _ in range(3):
        pace.wait(10, 100)
    assert 0.3 <= time.monotonic() - begun < 1


def test_unknown_orders_are_refused_by_name():
    faulty = Faulty({"name": "faulty.gpuhost.test:5000"})
    assert faulty.reference("v1") == "faulty.gpuhost.test:5000/sd-webui:v1"
    with pytest.raises(ValueError, match="mode: unknown, got 'bad', write one of ok, manifest-404"):
        faulty.set("bad")
    with pytest.raises(ValueError, match="only: should be manifests or blobs, got 'tags'"):
        faulty.set("500", only="tags")
