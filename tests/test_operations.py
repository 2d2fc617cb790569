"""From actions to shell: the text of every script, and what it does to real files."""

import base64
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pyinfra.api.command import FunctionCommand

from gpuhost import actions, report
from gpuhost.keys import KeyRefused
from gpuhost.operations import acting, converge, job
from gpuhost.operations.look import look
from gpuhost.operations.packages import script as packages_script
from gpuhost.operations.refuse import refuse
from gpuhost.plan import Plan, Refusal, Stage, Step
from tests.defaults import checked
from tests.test_plan import host_of

HERE = Path(__file__).parent / "operations"
PACKAGES = yaml.safe_load((HERE / "packages.yaml").read_text())
SHELL = yaml.safe_load((HERE / "shell.yaml").read_text())
DAEMONS = [
    actions.ConfigureDaemon(text, effect, live)
    for text in ('{"a": 1}\n', None)
    for effect in ("nothing", "reload", "restart")
    for live in (True, False)
]
PROOFS = [actions.ProveGpus("debian@sha256:1", access, "driver=1") for access in ("cdi", "hook")]


def session(**settings) -> Any:
    state = host_of({})
    host = SimpleNamespace(name="one", print_prefix="", said=[])
    host.noop = host.said.append
    return SimpleNamespace(
        host=host, state=state, settings=checked(**settings), view=SimpleNamespace(state=state),
        plan=Plan(), observe=lambda: True, keep_lock=lambda: None, address="192.0.2.1",
    )  # fmt: skip


def made(name, *fields):
    if name == "WriteFile":
        fields = (fields[0], fields[1].encode(), *fields[2:])
    return getattr(actions, name)(*fields)


def command(action, **settings):
    return acting.command(session(**settings), action, lambda *_: b"key")


@pytest.mark.parametrize("case", SHELL, ids=lambda case: " ".join(map(str, case["action"])))
def test_shell(case):
    found = command(made(*case["action"]))
    assert (found.what, found.script) == (case["what"], case["script"])
    assert found.stdin == case.get("stdin", "")


@pytest.mark.parametrize("name", PACKAGES)
def test_packages(name):
    case = PACKAGES[name]
    action = actions.Packages(
        "x", tuple(case["install"]), tuple(case.get("remove", ())), case.get("key", "")
    )
    text = packages_script(action, case["family"])
    if "ends" in case:
        assert text.endswith(case["ends"])
    else:
        assert text == case["script"]
    reads(text)


def reads(text):
    """A POSIX shell can read it."""
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("action", [*DAEMONS, *PROOFS, *(made(*one["action"]) for one in SHELL)])
def test_every_script_can_be_read(action):
    reads(command(action).script)


def test_every_action_has_a_command():
    kinds = {type(one) for one in [*DAEMONS, *PROOFS, *(made(*case["action"]) for case in SHELL)]}
    works = {actions.Packages, actions.PullImage, actions.SwitchInstance, actions.Reboot}
    assert kinds | works == set(actions.Action.__args__)


class Remote:
    """A host at the other end of `job.remote`: what it is told, and a job that ends at once."""

    def __init__(self, rc="0", tail=()):
        self.scripts: list[str] = []
        self.jobs: list[str] = []
        self.rc, self.tail = rc, list(tail)

    def __call__(self, state, host, script, stdin=""):
        self.scripts.append(script)
        reads(script)
        if "systemd-run" in script:
            self.jobs.append(base64.b64decode(stdin).decode())
            return True, []
        if "systemctl is-active" in script:
            return True, [self.rc, "inactive", "1000", "done"]
        return True, self.tail


@pytest.fixture
def remote(monkeypatch):
    def install(**options):
        found = Remote(**options)
        monkeypatch.setattr(job, "remote", found)
        return found

    return install


def work(action, **settings):
    one = session(**settings)
    found: Any = acting.command(one, action, lambda *_: b"")
    found.run(None, one.host)
    return one


def test_packages_are_installed_by_a_unit_of_their_own(remote):
    found = remote()
    work(actions.Packages("Docker Engine", ("docker-ce",)))
    assert found.jobs[0].endswith("--allow-downgrades docker-ce\n")
    assert "systemd-run --quiet --collect --unit gpuhost-job-packages sh -c " in found.scripts[0]


def test_a_failing_job_shows_the_end_of_its_output(remote):
    remote(rc="100", tail=["E: Unable to locate package docker-ce"])
    with pytest.raises(job.JobFailed, match=r"^failed with exit code 100") as caught:
        work(actions.Packages("Docker Engine", ("docker-ce",)))
    assert caught.value.tail == "E: Unable to locate package docker-ce"


def test_an_image_is_pulled_by_digest(remote):
    found = remote()
    work(actions.PullImage("registry.example/app@sha256:0123456789abcdef", 6_000_000_000))
    assert found.jobs == ["docker pull --quiet registry.example/app@sha256:0123456789abcdef\n"]
    assert "--unit gpuhost-job-pull-0123456789ab " in found.scripts[0]


def test_a_pull_with_a_login_uses_a_folder_of_its_own(remote):
    found = remote()
    login = {"image_registry_user": "puller", "image_registry_password_env": "X"}
    work(actions.PullImage("registry.example/app@sha256:0123456789abcdef", 1), **login)
    assert found.jobs[0].startswith("docker --config /etc/gpuhost/docker pull --quiet ")


STEP = Step(Stage.DAEMON, "engine unit", "missing", "there", "why", (actions.ReloadUnits(),))
REFUSAL = Refusal(Stage.PREFLIGHT, "gpu", "none", "put one in")


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(converge.logger, "error", lambda text: lines.append(_plain(text)))
    monkeypatch.setattr(report, "_entries", {"another": report.Entry()})
    return lines


def _plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def commands(operation, one, **arguments):
    return list(operation._inner(session=one, **arguments))


def failing(found, one):
    (command,) = found
    assert isinstance(command, FunctionCommand)
    assert command.function(None, one.host) is False


def test_a_stage_without_steps_runs_nothing():
    one = session()
    assert commands(converge.converge, one, stage=Stage.DAEMON) == []
    assert one.host.said == ["daemon.json is as it should be"]


def test_only_the_steps_of_the_stage_are_carried_out():
    one = session()
    one.plan = Plan((STEP, Step(Stage.IMAGE, "x", "", "", "", (actions.ReloadUnits(),))))
    (command,) = commands(converge.converge, one, stage=Stage.DAEMON)
    assert command.function.__name__ == "_shell"


def test_a_host_that_cannot_be_read_fails(said):
    one = session()
    one.observe = lambda: False
    failing(commands(converge.converge, one, stage=Stage.DAEMON), one)
    assert said == ["daemon.json failed: the host could not be read"]


def test_a_refusal_that_appears_on_the_way_fails_the_host(said):
    one = session()
    one.plan = Plan(refusals=(REFUSAL,))
    failing(commands(converge.converge, one, stage=Stage.DAEMON), one)
    assert said == ["preflight refused: gpu: none: put one in"]


def test_a_refused_host_hears_every_reason(said):
    one = session()
    one.plan = Plan(refusals=(REFUSAL, Refusal(Stage.ENGINE, "engine", "snap", "remove it")))
    failing(commands(refuse, one), one)
    assert said == ["preflight refused: gpu: none: put one in",
                    "preflight refused: engine: snap: remove it"]  # fmt: skip


def test_a_key_that_is_not_the_pinned_one_fails_before_anything_is_written(said, monkeypatch):
    one = session()
    key = actions.WriteKey("/k", "https://keys.example", "AB")
    one.plan = Plan((Step(Stage.ENGINE, "docker key", "", "", "", (key,)),))

    def refused(source, fingerprint):
        raise KeyRefused(f"{source}: should be the key {fingerprint}")

    monkeypatch.setattr(converge, "fetch", refused)
    failing(commands(converge.converge, one, stage=Stage.ENGINE), one)
    assert said == ["engine failed: docker key: https://keys.example: should be the key AB"]


def test_a_script_that_fails_shows_its_end(said, monkeypatch):
    one = session()
    one.plan = Plan((STEP,))
    monkeypatch.setattr(job, "remote", lambda *_: (False, [f"line {i}" for i in range(40)]))
    failing(commands(converge.converge, one, stage=Stage.DAEMON), one)
    assert said[0] == "daemon.json failed: engine unit: read units anew"
    assert [line.strip() for line in said[1:]] == [f"line {i}" for i in range(25, 40)]


def test_what_did_not_hold_is_said(said, monkeypatch):
    one = session()
    one.plan = Plan((STEP,))
    monkeypatch.setattr(report, "rows", lambda _: [])
    failing(commands(look, one), one)
    assert said == ["instance did not hold: engine unit: still missing"]


def test_what_held_is_no_change(monkeypatch):
    one = session()
    monkeypatch.setattr(report, "rows", lambda _: [])
    monkeypatch.setattr(report, "_entries", {"another": report.Entry()})
    assert commands(look, one) == []
    assert one.host.said == ["everything is as it should be"]
