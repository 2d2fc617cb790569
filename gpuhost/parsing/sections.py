"""The outer form of the probe's report: `@ NAME RC`, then `| stdout` and `! stderr` lines."""

from collections.abc import Sequence
from dataclasses import dataclass

REQUIRED = frozenset(
    {"system", "pci", "special", "packages", "sources", "files", "contents", "disks", "ports"}
    | {"units", "engine", "hooks"}
)

TIMED_OUT = (124, 137)
"""Exit codes of `timeout`: after its signal, and after SIGKILL."""


class UnreadableReport(ValueError):
    """The report is not one: the host's shell failed or something printed in between."""


@dataclass(frozen=True)
class Section:
    """What one part of the probe answered."""

    rc: int
    out: tuple[str, ...]
    err: tuple[str, ...]

    @property
    def last_word(self) -> str:
        """The last line that says something, stderr first."""
        said = [line for line in (*self.out, *self.err) if line.strip()]
        return said[-1].strip() if said else f"exit code {self.rc} and no output"


Sections = dict[str, Section]


def sections(report: Sequence[str]) -> Sections:
    """:raises UnreadableReport: on a line of another form, or when a part is missing"""
    found: dict[str, tuple[int, list[str], list[str]]] = {}
    places: dict[str, list[str]] = {}
    for line in report:
        mark, _, rest = line.partition(" ")
        if mark == "@":
            name, _, rc = rest.partition(" ")
            places = {"|": [], "!": []}
            found[name] = (_rc(rc, line), places["|"], places["!"])
        elif mark in places:
            places[mark].append(rest)
        else:
            raise UnreadableReport(f"the host's report: should start with '@', got {line[:80]!r}")
    if missing := sorted(REQUIRED - set(found)):
        raise UnreadableReport(f"the host's report: should hold {', '.join(missing)}, got nothing")
    return {name: Section(rc, tuple(out), tuple(err)) for name, (rc, out, err) in found.items()}


def _rc(text: str, line: str) -> int:
    if not text.isdigit():
        raise UnreadableReport(f"the host's report: should hold an exit code, got {line[:80]!r}")
    return int(text)
