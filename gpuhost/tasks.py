"""Day-two verbs: `pyinfra INVENTORY gpuhost.tasks.VERB`. These change nothing on any host."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from gpuhost.deploys.verbs import repair, rollback, unquarantine, update
from gpuhost.plan import Plan
from gpuhost.planning.instance import release_of
from gpuhost.session import Session, current

__all__ = ["explain", "plan", "repair", "rollback", "unquarantine", "update"]

NOTHING, REFUSED, PENDING = 0, 1, 2
"""Exit codes of `plan`."""


@dataclass
class Gathered:
    """What the hosts of this run have said so far."""

    sessions: dict[str, Session | None] = field(default_factory=dict)


_gathered = Gathered()


def plan() -> None:
    """Print what `deploy.py` would change on every host, and why.

    Exits with 0 for nothing to do, 2 for changes pending, 1 for refusals or errors.
    `--data format=json` prints one JSON document on stdout.
    """
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    if not _last(host):
        return
    plans = {name: one.plan if one else None for name, one in sorted(_gathered.sessions.items())}
    lost = sorted({one.name for one in host.state.failed_hosts} - set(plans))
    plans.update(dict.fromkeys(lost))
    if host.data.get("format") == "json":
        print(json.dumps({name: _as_json(one) for name, one in plans.items()}, indent=2))
    else:
        _print_plans(plans)
    _leave(_exit_code(plans))


def explain() -> None:
    """Print the `docker run` line that is the same container as each instance's compose file."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    if not _last(host):
        return
    for name, session in sorted(_gathered.sessions.items()):
        for instance in session.settings.webui_instances if session else ():
            release = release_of(session.view, instance) if session else None
            print(f"# {name}: instance {instance.name}")
            print(release.docker_run_line() if release else "# its image is not resolved")
    _leave(NOTHING if all(_gathered.sessions.values()) else REFUSED)


def _last(host: Host) -> bool:
    """Observe this host; whether every host of the run has been observed now."""
    session = current(host)
    try:
        seen = session.observe()
    except PyinfraError:
        seen = False
    _gathered.sessions[host.name] = session if seen else None
    expected = {one.name for one in host.state.activated_hosts}
    return expected <= set(_gathered.sessions)


def _leave(code: int) -> None:
    sys.stdout.flush()
    raise SystemExit(code)


def _exit_code(plans: dict[str, Plan | None]) -> int:
    if any(one is None or one.refusals for one in plans.values()):
        return REFUSED
    return PENDING if any(one and one.steps for one in plans.values()) else NOTHING


def _as_json(found: Plan | None) -> dict[str, Any]:
    if found is None:
        return {"error": "the host could not be read"}
    steps = [
        {
            "stage": step.stage.value,
            "subject": step.subject,
            "now": step.now,
            "wanted": step.wanted,
            "why": step.why,
        }
        for step in found.steps
    ]
    refusals = [
        {
            "stage": refusal.stage.value,
            "subject": refusal.subject,
            "found": refusal.found,
            "remedy": refusal.remedy,
        }
        for refusal in found.refusals
    ]
    return {"steps": steps, "refusals": refusals}


def _print_plans(plans: dict[str, Plan | None]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("host", "subject", "now", "wanted", "why", box=None, header_style="bold")
    for name, found in plans.items():
        if found is None:
            table.add_row(name, "host", "could not be read", "", "")
            continue
        for refusal in found.refusals:
            table.add_row(
                name, refusal.subject, refusal.found, "[red]refused[/red]", refusal.remedy
            )
        for step in found.steps:
            table.add_row(name, step.subject, step.now, step.wanted, step.why)
    console = Console(width=None if sys.stdout.isatty() else 200)
    if table.rows:
        console.print(table)
    console.print(_summary(plans))


def _summary(plans: dict[str, Plan | None]) -> str:
    changes = sum(len(one.steps) for one in plans.values() if one)
    changing = sum(1 for one in plans.values() if one and one.steps)
    refused = sum(1 for one in plans.values() if one is None or one.refusals)
    if not changes and not refused:
        return f"nothing to do on {_hosts(len(plans))}"
    parts = [f"{changes} change{'s' if changes != 1 else ''} on {_hosts(changing)}"]
    if refused:
        parts.append(f"{_hosts(refused)} refused or not read")
    return ", ".join(parts)


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"
