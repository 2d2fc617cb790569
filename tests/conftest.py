"""One lab for the whole run: services come up once, every test module makes its own hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab, LabHost

LEFT_STANDING = {"lab-1", "lab-2"}
"""The demo's hosts; every other host is a test's own and goes when its module ends."""


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab's services. A missing engine is a failure here, never a skip."""
    return Lab.up(0)


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, LabHost]]:
    """Fill it with `hosts[name] = lab.fresh(name)`: they are removed after the module."""
    made: dict[str, LabHost] = {}
    yield made
    for name, host in made.items():
        if name not in LEFT_STANDING:
            host.destroy()
