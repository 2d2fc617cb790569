"""From an action to what runs: a short script, or long work."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost import actions
from gpuhost.operations import packages, shell, switch
from gpuhost.operations.job import Job, run_job
from gpuhost.operations.reboot import reboot
from gpuhost.planning.proof import RECORD
from gpuhost.planning.registry_login import CLIENT
from gpuhost.session import Session

PACKAGE_DEADLINE = 3600
PULL_DEADLINE = 6 * 3600
"""Seconds: 20 GB at 1 MB/s."""


@dataclass(frozen=True)
class Shell:
    """A script that is done in seconds."""

    what: str
    script: str
    stdin: str = field(default="", repr=False)


@dataclass(frozen=True)
class Work:
    """Something long, followed while it runs; raises JobFailed."""

    label: str
    run: Callable[[State, Host], None]


def command(
    session: Session, action: actions.Action, key: Callable[[str, str], bytes]
) -> Shell | Work:
    """
    :param key: fetches a repository's key by source and fingerprint
    """
    match action:
        case actions.WriteKey(path, source, fingerprint):
            action = actions.WriteFile(path, key(source, fingerprint))
            return Shell(f"write {path}", shell.write_file(action), shell.stdin_of(action.content))
        case actions.WriteFile(path, content):
            return Shell(f"write {path}", shell.write_file(action), shell.stdin_of(content))
        case actions.ConfigureDaemon(text):
            stdin = shell.stdin_of(text.encode()) if text is not None else ""
            return Shell("configure the engine", shell.configure_daemon(action), stdin)
        case actions.Packages(label):
            return _packages(session, action, label)
        case actions.PullImage(reference, size):
            return _pull(session, reference, size)
        case actions.SwitchInstance():
            return Work("switch", partial(switch.order, session, action))
        case actions.Reboot():
            return Work("reboot", reboot)
        case _:
            return _simple(action)


def _simple(action: actions.Action) -> Shell:
    match action:
        case actions.MoveAside(path):
            return Shell(f"move {path} aside", shell.move_aside(action))
        case actions.MakeDirectory(path):
            return Shell(f"make {path}", shell.make_directory(action))
        case actions.EnableUnit(unit):
            return Shell(f"enable {unit}", shell.enable_unit(action))
        case actions.RunUnit(unit):
            return Shell(f"run {unit}", shell.run_unit(action))
        case actions.ReloadUnits():
            return Shell("read units anew", shell.reload_units(action))
        case actions.ProveGpus():
            return Shell("compare GPUs inside and outside", shell.prove_gpus(action, RECORD))
        case actions.RemoveInstance(name):
            return Shell(f"remove {name}", shell.remove_instance(action))
        case _:
            raise TypeError(f"no command for {action!r}")


def _packages(session: Session, action: actions.Packages, label: str) -> Work:
    job = Job(
        name="packages",
        label=label,
        script=packages.script(action, session.view.state.system.family),
        deadline=PACKAGE_DEADLINE,
    )
    return Work("install", lambda state, host: run_job(state, host, job))


def _pull(session: Session, reference: str, size: int) -> Work:
    client = f"--config {CLIENT} " if session.settings.image_registry_user else ""
    job = Job(
        name=f"pull-{reference.rpartition(':')[2][:12]}",
        label=f"pull {reference.partition('@')[0]}",
        script=f"docker {client}pull --quiet {shlex.quote(reference)}\n",
        deadline=PULL_DEADLINE,
        expected_bytes=size,
    )
    return Work("pull", lambda state, host: run_job(state, host, job))
