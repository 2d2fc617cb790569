"""daemon.json and how GPUs reach containers: merged by us, with the least that makes it true."""

import json
from typing import Any

from gpuhost import daemon_json, templates
from gpuhost.actions import (
    ConfigureDaemon,
    Effect,
    MakeDirectory,
    ReloadUnits,
    RunUnit,
    WriteFile,
)
from gpuhost.daemon_problems import problems
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.view import FIRST_CDI_ENGINE, View

PATH = "/etc/docker/daemon.json"
EFFECTS: dict[daemon_json.Effect, Effect] = {
    daemon_json.Effect.NOTHING: "nothing",
    daemon_json.Effect.RELOAD: "reload",
    daemon_json.Effect.RESTART: "restart",
}
REFRESH = "nvidia-cdi-refresh.service"
DROP_IN = "/etc/systemd/system/docker.service.d/gpuhost-cdi.conf"


def lines(view: View) -> Lines:
    """Steps that give containers their GPUs, through daemon.json and the CDI spec."""
    if view.settings.engine_source == "present" and not view.state.engine.provider:
        return
    numbers = view.state.engine.numbers
    if view.access == "cdi" and (0, 0) < numbers < FIRST_CDI_ENGINE:
        yield Refusal(
            Stage.DAEMON, "gpu access", f"Docker Engine {view.state.engine.version} has no CDI",
            "upgrade it to 25.0 or newer, or set toolkit_gpu_access = 'hook'",
        )  # fmt: skip
        return
    if view.access == "cdi":
        yield from _spec(view)
        yield from _order_at_boot(view)
    yield from _configuration(view)


def wanted(view: View) -> dict[str, Any]:
    """The keys of daemon.json that are ours to set."""
    keys: dict[str, Any] = dict(view.settings.engine_options)
    if view.settings.engine_live_restore and not view.state.engine.swarm:
        keys["live-restore"] = True
    if view.settings.engine_registry_mirrors:
        keys["registry-mirrors"] = list(view.settings.engine_registry_mirrors)
    if view.access == "cdi":
        keys["features"] = {**keys.get("features", {}), "cdi": True}
    else:
        nvidia = {"path": "nvidia-container-runtime", "args": []}
        keys["runtimes"] = {**keys.get("runtimes", {}), "nvidia": nvidia}
    return keys


def _configuration(view: View) -> Lines:
    found, engine = view.state.file(PATH), view.state.engine
    if found.kind not in ("file", "missing"):
        yield _refuse(f"should be a file, got a {found.kind}", "replace it by the file itself")
        return
    try:
        merged = daemon_json.merge(found.content, wanted(view))
    except daemon_json.DaemonJsonError as error:
        yield _refuse(str(error), "correct it by hand; it was not touched")
        return
    if complaints := problems(merged.settings, engine.unit_command):
        yield _refuse("; ".join(complaints), "correct it by hand; it was not touched")
        return
    restart = _restart_reason(view)
    effect = "restart" if restart else EFFECTS[daemon_json.effect(merged.changes)]
    if merged.changes:
        yield Step(
            Stage.DAEMON, "daemon.json", _now(merged.changes), _wanted(merged.changes),
            f"the engine must {effect}" if effect != "nothing" else "settings ask for it",
            (ConfigureDaemon(merged.text, effect, not engine.swarm),),
        )  # fmt: skip
    elif restart:
        yield Step(
            Stage.DAEMON, "engine", restart, "restarted", "dockerd looks for hooks when it starts",
            (ConfigureDaemon(None, "restart", not engine.swarm),),
        )  # fmt: skip


def _restart_reason(view: View) -> str:
    state = view.state
    if view.access == "hook":
        if view.replaces(Stage.TOOLKIT):
            return "toolkit changes"
        if state.engine.running and state.toolkit.hooks_changed > state.engine.started:
            return "older than the toolkit's hook"
    elif state.engine.running and not state.engine.cdi_dirs:
        return "running without CDI"
    return ""


def _spec(view: View) -> Lines:
    toolkit, driver = view.state.toolkit, view.state.gpus.driver
    if toolkit.cdi_devices and (not toolkit.cdi_driver or toolkit.cdi_driver == driver):
        return
    now = f"made for driver {toolkit.cdi_driver}" if toolkit.cdi_devices else "missing"
    wanted = f"driver {driver}" if driver else "the new driver"
    yield Step(
        Stage.DAEMON, "cdi spec", now, f"made for {wanted}",
        "it names the driver's files", (RunUnit(REFRESH),),
    )  # fmt: skip


def _order_at_boot(view: View) -> Lines:
    drop_in = WriteFile(DROP_IN, templates.render("gpuhost-cdi.conf").encode())
    if now := drift(view.state, drop_in):
        yield Step(
            Stage.DAEMON, "engine unit", f"order at boot {now}", "after the CDI spec",
            "a container that starts before it would have no GPU",
            (MakeDirectory(DROP_IN.rpartition("/")[0], 0o755, "0:0"), drop_in, ReloadUnits()),
        )  # fmt: skip


def _now(changes: tuple[daemon_json.Change, ...]) -> str:
    return ", ".join(f"{'.'.join(change.path)} {_value(change.now)}" for change in changes)


def _wanted(changes: tuple[daemon_json.Change, ...]) -> str:
    return ", ".join(f"{'.'.join(change.path)} {_value(change.wanted)}" for change in changes)


def _value(value: object) -> str:
    return "unset" if value is daemon_json.ABSENT else json.dumps(value)


def _refuse(found: str, remedy: str) -> Refusal:
    return Refusal(Stage.DAEMON, "daemon.json", found.replace("daemon.json: ", ""), remedy)
