"""A third of the fault matrix, on real hosts; `make faults` tries all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import matrix, table
from tests.faults.cases import CASES, Case
from tests.faults.trial import Result
from tests.lab import Lab

pytestmark = pytest.mark.lab

OFTEN = [one for one in CASES if one.often]


@pytest.fixture(scope="module")
def results(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    """All of them, tried on two hosts side by side."""
    folder = tmp_path_factory.mktemp("faults")
    try:
        stands = matrix.prepare(lab, OFTEN, folder)
        tried = matrix.run(stands, OFTEN, folder, lambda result: print(table.line(result)))
        yield {one.case.name: one for one in tried}
    finally:
        matrix.destroy(Lab.load(), matrix.names(OFTEN))


@pytest.mark.parametrize("case", OFTEN, ids=lambda case: case.name)
def test_an_update_ends_as_it_must(case: Case, results: dict[str, Result]) -> None:
    result = results[case.name]
    assert result.passed, table.details(result)
