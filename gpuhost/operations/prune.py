"""Remove from a host what nothing needs any more."""

import base64
import json
from collections.abc import Generator
from typing import Any

import click
from pyinfra.api import State, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.host import Host

from gpuhost import report
from gpuhost.facts.records import HostRecords
from gpuhost.hostside.places import PROGRAM
from gpuhost.operations.converge import failing, partial_named
from gpuhost.operations.job import Job, JobFailed, run_job, tail
from gpuhost.plan import Stage
from gpuhost.planning.image import gigabytes
from gpuhost.retention import Retention, decide
from gpuhost.retention.rules import rules_of
from gpuhost.session import Session

DEADLINE = 7200
"""Seconds: an image of many gigabytes on a slow disk takes minutes."""

results: dict[str, dict[str, Any]] = {}
"""What became of it, by host."""


@operation()
def prune(session: Session) -> Generator[FunctionCommand, None, None]:
    """
    Look at what a host holds, decide what goes, and remove it.

    + session: the host's session
    """
    records = session.host.get_fact(HostRecords)
    if records is None:
        yield failing(session, Stage.IMAGE, "the host's records could not be read")
        return
    if records.broken:
        yield failing(session, Stage.IMAGE, records.problem, heading="prune failed")
        return
    found = decide(records, rules_of(session.settings, session.resolver.written))
    if not found.removed:
        session.host.noop(records.problem or "there is nothing to prune")
        return
    yield FunctionCommand(partial_named(_prune, session, found), [], {})


def _prune(session: Session, found: Retention, state: State, host: Host) -> bool:
    orders = base64.b64encode(json.dumps(found.orders()).encode()).decode()
    script = f"base64 -d <<'ORDERS' | python3 {PROGRAM} prune\n{orders}\nORDERS\n"
    job = Job("prune", "prune", script, DEADLINE)
    try:
        run_job(state, host, job)
        result = json.loads(tail(state, host, job, 1))
    except JobFailed as error:
        return _failed(session, str(error), error.tail, state, host)
    except ValueError:
        return _failed(session, "it did not say what it removed", "", state, host)
    results[host.name] = result
    report.pruned(host.name, result["freed"])
    return _said(session, result, state, host)


def _said(session: Session, result: dict[str, Any], state: State, host: Host) -> bool:
    for one in result["done"]:
        if one["outcome"] == "skipped":
            click.echo(
                f"    [{host.name}] {one['kind']} {one['name']} stays: {one['said']}", err=True
            )
    failed = [one for one in result["done"] if one["outcome"] == "failed"]
    if result["engine"] or failed:
        words = [f"{one['kind']} {one['name']}: {one['said']}" for one in failed]
        return _failed(session, "\n".join([*words, result["engine"]]).strip(), "", state, host)
    click.echo(f"    [{host.name}] {gigabytes(result['freed'])} freed", err=True)
    return True


def _failed(session: Session, text: str, tail: str, state: State, host: Host) -> bool:
    command = failing(session, Stage.IMAGE, text, tail, heading="prune failed")
    return bool(command.function(state, host))
