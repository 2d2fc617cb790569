"""What the verbs that change hosts do on each: the same stages, with another end in mind."""

from collections.abc import Callable
from functools import partial

from gpuhost.deploys import stages
from gpuhost.operations.carry_out import carry_out, show
from gpuhost.operations.lift import lift
from gpuhost.operations.prune import prune
from gpuhost.plan import Lines, Stage, collect
from gpuhost.planning import repair as repairs
from gpuhost.planning import rollback as rollbacks
from gpuhost.planning.records import quarantined_releases
from gpuhost.planning.rollback import PREVIOUS
from gpuhost.planning.view import View
from gpuhost.session import Session, asked, this_host


def update() -> Session:
    """Converge this host to what its image means now, or to `--data to=`."""
    session = stages.observe(verb="update", to=asked(this_host(), "to"))
    for stage in stages.STAGES:
        stage(session)
    return session


def cycle() -> Session:
    """What the timer does by night: update, then prune; the verdict goes to `cycle_notify`."""
    session = stages.observe(verb="cycle", to="")
    if session.state is None:
        return session
    stages.hold_for(session)
    for stage in stages.STAGES:
        stage(session)
    prune(name="Prune", session=session)
    return session


def rollback() -> Session:
    """Take this host's instances back to a release that it has proven."""
    session = stages.observe(verb="rollback")
    to, only = session.asked("to") or PREVIOUS, session.asked("instance")
    _decide(session, "Go back", partial(rollbacks.lines, to=to, only=only))
    return session


def repair() -> Session:
    """Make anew what is not well on this host: the CDI spec, containers without their GPU."""
    session = stages.observe(verb="repair")
    if session.state and session.plan.of(Stage.DAEMON) and not session.plan.refusals:
        stages.hold(session)
        stages.gpu_access(session)
    _decide(session, "Repair", partial(repairs.lines, only=session.asked("instance")))
    return session


def unquarantine() -> Session:
    """Let what failed be tried again, all of it or `--data digest=`, here and in the lock."""
    session = stages.observe(verb="unquarantine")
    if session.state is None:
        return session
    names = [one.name for one in session.settings.webui_instances]
    failed = {name: quarantined_releases(session.view.state, name) for name in names}
    if any(failed.values()):
        stages.hold_for(session)
        lift(name="Lift the quarantine", session=session, digest=session.asked("digest"))
    else:
        stages.nothing_to_do(session)
    return session


def _decide(session: Session, name: str, decide: Callable[[View], Lines]) -> None:
    if session.state is None:
        return
    plan = collect(decide(session.view))
    if not plan.steps and not plan.refusals:
        stages.nothing_to_do(session)
        return
    if plan.steps:
        stages.hold_for(session)
    carry_out(name=name, session=session, decide=decide)
    show(name="Look at the result", session=session)
