"""The README says what is true."""

from __future__ import annotations

import re

from gpuhost.settings import Settings
from tests import settings_table


def test_the_settings_table_is_the_one_of_group_data() -> None:
    assert settings_table.in_readme() == settings_table.table(), (
        "run: .venv/bin/python -m tests.settings_table"
    )


def test_every_setting_stands_in_the_table_with_a_meaning() -> None:
    found = settings_table.settings(settings_table.ALL.read_text(encoding="utf-8"))
    assert {one.name for one in found} == set(Settings.model_fields)
    assert all(one.comment for one in found)


def test_every_room_that_the_readme_names_exists() -> None:
    text = settings_table.README.read_text(encoding="utf-8")
    rooms = re.findall(r"^    ([a-z_./]+(?:/|\.py|\.sh|\.yaml)) {2,}\S", text, re.MULTILINE)
    assert len(rooms) > 10
    for room in rooms:
        assert (settings_table.ROOT / room).exists(), room


def test_make_knows_the_targets_that_the_readme_names() -> None:
    text = settings_table.README.read_text(encoding="utf-8")
    makefile = (settings_table.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (demo|test|check|bench|faults|lab-down|lab)\b", text))
    assert {"demo", "test", "check"} <= targets
    for target in targets:
        assert f"\n{target}:" in makefile, target
