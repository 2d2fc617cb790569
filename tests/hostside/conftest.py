"""Worlds for tests of the host-side program."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostside.world import World, furnish, inhabit


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], World]:
    """Make a new host, and let the program live on it."""
    made: list[World] = []
    numbers = itertools.count()
    inhabit(monkeypatch, lambda: made[-1])

    def new() -> World:
        made.append(World(tmp_path / str(next(numbers))))
        furnish(made[-1])
        return made[-1]

    return new


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    """A host on which nothing was done yet."""
    return worlds()
