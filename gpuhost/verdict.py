"""What became of a run, as JSON for machines and in five lines for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["stranded", "failed", "rolled back", "updated", "skipped", "nothing to do"]
OUTCOMES: tuple[Outcome, ...] = (
    "stranded",
    "failed",
    "rolled back",
    "updated",
    "skipped",
    "nothing to do",
)
"""Worst first: the first one that a host has is the run's."""
LINES = 5
WIDTH = 240


@dataclass(frozen=True)
class HostVerdict:
    """What became of one host."""

    outcome: Outcome
    before: str = ""
    """The digest that ran before, and the one that runs now."""
    after: str = ""
    reason: str = ""
    seconds: float = 0
    downtime: float = 0
    """Seconds without an answer."""
    pruned_bytes: int = 0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "outcome": self.outcome,
            "from": self.before,
            "to": self.after,
            "reason": self.reason,
            "seconds": round(self.seconds, 1),
            "downtime": round(self.downtime, 1),
            "pruned_bytes": self.pruned_bytes,
        }


@dataclass(frozen=True)
class Verdict:
    """What became of a run; `at` is its begin, UTC in ISO 8601."""

    inventory: str
    what: str
    at: str
    seconds: float
    hosts: Mapping[str, HostVerdict]

    @property
    def outcome(self) -> Outcome:
        """The worst that a host has."""
        found = {host.outcome for host in self.hosts.values()}
        return next((one for one in OUTCOMES if one in found), "nothing to do")

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "inventory": self.inventory,
            "what": self.what,
            "at": self.at,
            "seconds": round(self.seconds, 1),
            "outcome": self.outcome,
            "hosts": {name: host.document() for name, host in sorted(self.hosts.items())},
        }


def five_lines(verdict: Verdict) -> str:
    """What happened, the worst first, in no more lines than five."""
    groups = _groups(verdict.hosts)
    room = LINES - 1
    shown = groups if len(groups) <= room else groups[: room - 1]
    lines = [_head(verdict), *shown]
    if left := len(groups) - len(shown):
        lines.append(f"and {left} more of these, see the JSON or deploy.py's table")
    return "\n".join(_cut(line) for line in lines)


def _head(verdict: Verdict) -> str:
    count = len(verdict.hosts)
    parts = [
        f"{sum(host.outcome == one for host in verdict.hosts.values())} {one}"
        for one in OUTCOMES
        if any(host.outcome == one for host in verdict.hosts.values())
    ]
    hosts = f"{count} host{'' if count == 1 else 's'}"
    when = f"{verdict.at[:16].replace('T', ' ')} UTC, {_span(verdict.seconds)}"
    freed = sum(host.pruned_bytes for host in verdict.hosts.values())
    pruned = f", {freed / 1e9:.1f} GB freed" if freed else ""
    summary = f"{hosts}: {', '.join(parts) or 'none'}{pruned}"
    return f"{verdict.inventory} {verdict.what}: {verdict.outcome} ({when}; {summary})"


def _groups(hosts: Mapping[str, HostVerdict]) -> list[str]:
    """One line for all hosts of one story, the worst story first."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    told = sorted(hosts, key=lambda name: (OUTCOMES.index(hosts[name].outcome), name))
    for name in told:
        host = hosts[name]
        if host.outcome != "nothing to do" or host.reason:
            key = (host.outcome, host.before, host.after, host.reason)
            found.setdefault(key, []).append(name)
    return [_story(hosts[names[0]], names, hosts) for names in found.values()]


def _story(host: HostVerdict, names: list[str], hosts: Mapping[str, HostVerdict]) -> str:
    who = (
        ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
    )
    parts = [f"{who}: {host.outcome}"]
    if host.before or host.after:
        parts.append(f"{short(host.before)} -> {short(host.after)}")
    down = max(hosts[name].downtime for name in names)
    if down:
        parts.append(f"{_span(down)} without an answer")
    if host.reason:
        parts.append(host.reason.splitlines()[0])
    return ", ".join(parts)


def short(digest: str) -> str:
    """Twelve digits of a digest, as docker shows it."""
    return digest.rpartition("sha256:")[2][:12] if "sha256:" in digest else digest or "nothing"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
