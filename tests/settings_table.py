"""The README's settings table, from group_data/all.py: `python -m tests.settings_table`."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALL = ROOT / "group_data" / "all.py"
README = ROOT / "README.md"
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


@dataclass(frozen=True)
class Setting:
    """One line of group_data/all.py."""

    name: str
    default: object
    comment: str


def settings(source: str) -> list[Setting]:
    """Every assignment, with the comment that stands within its lines."""
    lines = source.splitlines()
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            span = lines[node.lineno - 1 : node.end_lineno]
            comments = [match.group(1) for line in span if (match := re.search(r"  # (.*)$", line))]
            name = node.targets[0].id
            found.append(Setting(name, ast.literal_eval(node.value), " ".join(comments)))
    return found


def table() -> str:
    """Markdown, one row a setting."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for setting in settings(ALL.read_text(encoding="utf-8")):
        default = f"`{setting.default!r}`" if setting.default != "" else "`''`"
        meaning = setting.comment.replace("|", "\\|")
        rows.append(f"| `{setting.name}` | {default} | {meaning} |")
    return "\n".join(rows)


def in_readme() -> str:
    """What stands between the marks now."""
    text = README.read_text(encoding="utf-8")
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def main() -> int:
    """Write the table into the README."""
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    README.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
