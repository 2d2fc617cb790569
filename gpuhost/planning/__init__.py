"""The decisions, one stage a module. Each takes a `View` and yields steps and refusals."""

from collections.abc import Callable

from gpuhost.lock import Lock
from gpuhost.plan import Lines, Plan, collect
from gpuhost.planning import (
    daemon,
    driver,
    engine,
    image,
    instance,
    preflight,
    proof,
    registry_login,
    switch_program,
    toolkit,
)
from gpuhost.planning.view import View
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings
from gpuhost.state import HostState

STAGES: tuple[Callable[[View], Lines], ...] = (
    preflight.lines,
    driver.lines,
    engine.lines,
    toolkit.lines,
    daemon.lines,
    registry_login.lines,
    switch_program.lines,
    proof.lines,
    image.lines,
    instance.lines,
)


def plan(
    state: HostState,
    settings: Settings,
    lock: Lock,
    secrets: Secrets | None = None,
    verb: str = "deploy",
    by: str = "",
) -> Plan:
    """What must change on a host so that it is what its settings and the lock say.

    Stages look at what the ones before them will change, so a bare host has a full plan. A host
    that is refused for what it is gets no steps.
    """
    view = View(state, settings, lock, secrets or Secrets(), verb, by)
    plan = collect(line for stage in STAGES for line in view.extended(stage))
    return Plan(refusals=plan.refusals) if plan.refusals else plan
