"""`gpuhost.tasks.plan`: what `deploy.py` would change, and why."""

from typing import Any

from rich.table import Table

from gpuhost.plan import Plan
from gpuhost.tasks.gathering import (
    NOTHING,
    PENDING,
    REFUSED,
    as_json,
    console,
    everybody,
    leave,
    look,
    print_json,
)


def plan() -> None:
    """Print what `deploy.py` would change on every host, and why.

    Exits with 0 for nothing to do, 2 for changes pending, 1 for refusals or errors.
    `--data format=json` prints one JSON document on stdout.
    """
    look()
    if (hosts := everybody()) is None:
        return
    plans = {name: one.session.plan if one.session else None for name, one in hosts.items()}
    if as_json():
        print_json({name: _as_json(one) for name, one in plans.items()})
    else:
        _print_plans(plans)
    leave(_exit_code(plans))


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
    if table.rows:
        console().print(table)
    console().print(_summary(plans))


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
