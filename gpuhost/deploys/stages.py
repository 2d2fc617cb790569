"""One function per stage. A stage with nothing to do adds no operation at all."""

from pyinfra.context import ctx_host

from gpuhost import report
from gpuhost.operations import schedule as timer
from gpuhost.operations.converge import converge
from gpuhost.operations.hold import expect, outlast
from gpuhost.operations.hold import hold as take_hold
from gpuhost.operations.job import wait_for
from gpuhost.operations.look import look
from gpuhost.operations.refuse import refuse
from gpuhost.operations.switch import see_through
from gpuhost.plan import Stage
from gpuhost.session import Session, current


def observe(verb: str = "deploy", to: str | None = None) -> Session:
    """Read the host's settings and, in one remote command, the host.

    :param to: what an update goes to, see `Session`
    """
    session = current(ctx_host.get(), verb, to)  # type: ignore[no-untyped-call]
    report.expect(session)
    if session.observe() and _at_work(session):
        _see_through(session)
    if session.state:
        report.seen(session)
        if session.plan.empty:
            nothing_to_do(session)
    return session


def nothing_to_do(session: Session) -> None:
    """The host is as it should be, and the lock may say so."""
    report.concluded(session.host.name)
    session.keep_lock()


def _at_work(session: Session) -> bool:
    """Whether work of another run goes on there, or was left in the middle."""
    return bool(session.state and (session.view.state.busy_units or session.interrupted))


def _see_through(session: Session) -> None:
    """See that work to its end, once no living run cares for it."""
    state, host = session.host.state, session.host
    if not outlast(state, host):
        return
    for unit in session.view.state.busy_units:
        if unit.startswith("gpuhost-job-"):
            wait_for(state, host, unit)
    session.observe()
    if session.state and (interrupted := session.interrupted):
        for instance in interrupted:
            see_through(state, host, instance)
        session.observe()


def hold(session: Session) -> None:
    """Let no other run change what this one is going to change."""
    if _at_work(session) or (session.plan.steps and not session.plan.refusals):
        hold_for(session)


def hold_for(session: Session) -> None:
    """Hold this host, whatever its plan says."""
    if not session.held:
        session.held = True
        expect(session.host)
        take_hold(name="Hold the hosts", session=session)


def preflight(session: Session) -> None:
    """Refuse a host that cannot be served, before anything on it is touched."""
    if session.plan.refusals:
        refuse(name="Refuse what cannot be served", session=session)


def driver(session: Session) -> None:
    """Install the NVIDIA driver where there is none and settings allow it."""
    if session.plan.of(Stage.DRIVER):
        converge(name="Install the NVIDIA driver", session=session, stage=Stage.DRIVER)


def engine(session: Session) -> None:
    """Install Docker Engine with compose."""
    if session.plan.of(Stage.ENGINE):
        converge(name="Install Docker Engine", session=session, stage=Stage.ENGINE)


def toolkit(session: Session) -> None:
    """Install the NVIDIA Container Toolkit, four packages in one version."""
    if session.plan.of(Stage.TOOLKIT):
        converge(name="Install the container toolkit", session=session, stage=Stage.TOOLKIT)


def gpu_access(session: Session) -> None:
    """Merge daemon.json and make the CDI spec, so that containers get their GPUs."""
    if session.plan.of(Stage.DAEMON):
        converge(name="Give containers their GPUs", session=session, stage=Stage.DAEMON)


def registry(session: Session) -> None:
    """Let the engine reach the image's registry: its login and its CA."""
    if session.plan.of(Stage.REGISTRY):
        converge(name="Log in at the registry", session=session, stage=Stage.REGISTRY, again=False)


def switch_program(session: Session) -> None:
    """Install the program that moves instances between releases, and its units."""
    if session.plan.of(Stage.SWITCH):
        converge(name="Install the switch", session=session, stage=Stage.SWITCH)


def gpu_proof(session: Session) -> None:
    """Prove that a container sees exactly the host's GPUs."""
    if session.plan.of(Stage.PROOF):
        converge(name="Prove the GPUs in a container", session=session, stage=Stage.PROOF)


def instances(session: Session) -> None:
    """Switch every instance to its release: pulled, started and proven, or left as it was."""
    if session.plan.of(Stage.INSTANCE):
        converge(name="Switch to the release", session=session, stage=Stage.INSTANCE)


def table(session: Session) -> None:
    """Look once more at what was changed, for the table at the end."""
    if session.plan.steps and not session.plan.refusals:
        look(name="Look at the result", session=session)


def schedule(session: Session) -> None:
    """Install, change or remove the nightly timer on the machine that runs pyinfra."""
    if timer.lines(session):
        timer.schedule(name="Set the timer", session=session)


STAGES = (
    hold,
    preflight,
    driver,
    engine,
    toolkit,
    gpu_access,
    registry,
    switch_program,
    gpu_proof,
    instances,
    table,
)
"""All of them, in the order of `deploy.py`."""
