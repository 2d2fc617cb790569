"""Every case of tests/plan: a host, what is different about it, and its whole plan.

    host: settled debian13      or `bare SYSTEM`; see tests/pretend.py
    with: {...}                 settings that the host was settled with (and still has)
    settings: {...}             settings that changed since
    before: {...}               what was different about the host before it was settled
    state: {engine.version: ..} what is different now, by dotted path
    lock: {...}                 what is different about the locked image; null: not resolved
    says: [...]                 `stage | subject | now -> wanted` or
                                `refused | subject | found | remedy`
    does: [...]                 what the steps do, where that matters
    ends: [...]                 what is left to plan when all is done, if anything

"..." in a line stands for any text, alone at the end for any lines; ID for a release's name.
"""

import base64
import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuhost import actions
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import StoredRelease
from gpuhost.hostside.request import Request
from gpuhost.lock import Lock, LockedImage
from gpuhost.plan import Refusal, Stage
from gpuhost.planning import plan
from gpuhost.secrets import Secrets
from gpuhost.state import Container, Disk, File, Gpu, PciGpu
from tests import pretend
from tests.defaults import checked

HERE = Path(__file__).parent
CASES = {path.stem: yaml.safe_load(path.read_text()) for path in (HERE / "plan").glob("*.yaml")}
IMAGE = "docker.io/yanwk/sd-webui-base:nightly"
PROBE = "docker.io/library/debian:trixie-slim"
CA = b"-----BEGIN CERTIFICATE-----\n"
GB = 10**9


def settings_of(data):
    """The defaults with keys of our own, and the case's."""
    keys = {
        f"{group}_{part}": value
        for group, name in (
            ("engine_apt", "docker"),
            ("engine_rpm", "rpm"),
            ("toolkit_apt", "nvidia"),
        )
        for part, value in (("key", name), ("fingerprint", pretend.fingerprint(name)))
    }
    return checked(**{**keys, **data})


def secrets_of(chosen):
    return Secrets(
        "hunter2" if chosen.image_registry_user else "",
        "sesame" if chosen.webui_user else "",
        CA if chosen.image_registry_ca else b"",
    )


def lock_of(changes, chosen):
    image = LockedImage(
        chosen.image_reference, f"sha256:{'1' * 64}", "linux/amd64", "2026-09-01T00:00:00Z",
        6 * GB, {"org.gpuhost.cuda": "12.8", "org.gpuhost.arch-list": "7.5 8.0 8.6 8.9 9.0 12.0"},
    )  # fmt: skip
    probe = LockedImage(
        PROBE, f"sha256:{'2' * 64}", "linux/amd64", "2026-09-01T00:00:00Z", GB // 20
    )
    if changes is None:
        return Lock().with_image(probe)
    if "problem" in changes:
        return Lock().with_image(probe).with_problem(image.key, changes["problem"])
    return Lock().with_image(probe).with_image(replace(image, **changes))


def host_of(case):
    kind, _, system = case.get("host", "settled debian13").partition(" ")
    state = pretend.bare(system)
    state = changed(state, dotted(case.get("before", {})))
    if kind == "bare":
        return state
    before = settings_of(case.get("with", {}))
    return pretend.settled(state, before, lock_of({}, before), secrets_of(before))


def plan_of(case):
    chosen = settings_of({**case.get("with", {}), **case.get("settings", {})})
    state = changed(host_of(case), dotted(case.get("state", {})))
    return state, chosen, lock_of(case.get("lock", {}), chosen), secrets_of(chosen)


@pytest.mark.parametrize("name", sorted(CASES))
def test_plan(name):
    case = CASES[name]
    found = plan(*plan_of(case))
    lines = [line(one) for one in (*found.refusals, *found.steps)]
    assert_lines(lines, case["says"])
    if "does" in case:
        assert_lines([deed(one) for step in found.steps for one in step.actions], case["does"])


@pytest.mark.parametrize(
    "name", [n for n in sorted(CASES) if "refused" not in str(CASES[n]["says"])]
)
def test_what_is_planned_leaves_nothing_to_plan(name):
    state, *rest = plan_of(CASES[name])
    left = plan(pretend.settled(state, *rest), *rest)
    assert [line(one) for one in (*left.refusals, *left.steps)] == CASES[name].get("ends", [])


def test_there_are_enough_cases():
    assert len(CASES) >= 60


def test_every_stage_is_seen():
    said = " ".join(line for case in CASES.values() for line in case["says"])
    assert [stage.value for stage in Stage if f"{stage.value} |" not in said] == ["preflight"]


def test_a_release_in_quarantine_is_refused_with_what_failed():
    state, *rest = plan_of({})
    running = state.containers["gpuhost-webui"]
    entry = {"release": running.labels["org.gpuhost.release"], "image": running.image,
             "gate": "picture", "reason": "HTTP 500", "at": "2026-11-28T10:00:00Z"}  # fmt: skip
    file = pretend.written(str(Places("webui").quarantine), json.dumps([entry]).encode())
    found = plan(replace(state, files={**state.files, file.path: file}), *rest)
    assert found.steps == ()
    assert [line(one) for one in found.refusals] == [
        "refused | instance webui | release ID (image 111111111111) is in quarantine:"
        " gate picture failed on 2026-11-28: HTTP 500 | change what was wrong, run"
        " gpuhost.tasks.update once there is a newer image, or lift it with"
        " gpuhost.tasks.unquarantine"
    ]


def order_of(case):
    """What the switch of a case is told."""
    steps = plan(*plan_of(case)).steps
    (found,) = [
        one for step in steps for one in step.actions if isinstance(one, actions.SwitchInstance)
    ]
    document = json.loads(found.order)
    release = StoredRelease.from_json(document["release"])
    assert release
    return Request.from_json(document["request"]), release


BARE = {"host": "bare debian13"}


def test_an_order_holds_all_that_a_host_needs_to_run_a_release():
    request, release = order_of(BARE)
    assert (request.release, request.kind, request.recreate) == (release.id, "deploy", True)
    assert (request.why, request.driver, request.client) == (
        "missing: there is no container yet", pretend.DRIVER, ""
    )  # fmt: skip
    assert (request.ratio, request.reserve, request.proof) == (3.0, 10 * 1024**3, True)
    assert (request.drain_timeout, request.drain_on_timeout) == (600, "skip")
    assert release.image == f"docker.io/yanwk/sd-webui-base@sha256:{'1' * 64}"
    assert (release.reference, release.size) == (IMAGE, 6 * GB)
    assert release.labels["org.gpuhost.cuda"] == "12.8"
    assert release.gates == {"answers": 1800, "gpu": 60, "picture": 600}
    assert release.published == ("127.0.0.1", 7860)
    assert (release.stop_timeout, release.bake, release.slowdown) == (30, 20, 0.0)
    assert release.gpu_flags == ("--device=nvidia.com/gpu=all",)


def test_the_stored_compose_file_is_of_the_project_that_the_switch_makes():
    _, release = order_of(BARE)
    files = {one.path: yaml.safe_load(base64.b64decode(one.content)) for one in release.files}
    compose = files[release.compose]
    assert compose["name"] == release.project
    assert compose["services"]["webui"]["container_name"] == release.container
    assert compose["services"]["webui"]["labels"]["org.gpuhost.release"] == release.id


def test_a_login_travels_in_the_order_and_in_no_word_about_it():
    login = {"webui_user": "painter", "webui_password_env": "X"}
    chosen = {**login, "image_registry_user": "p", "image_registry_password_env": "Y"}
    request, release = order_of({**BARE, "settings": chosen})
    files = {one.path: one for one in release.files}
    stored = files["/etc/gpuhost/instances/webui/login"]
    assert base64.b64decode(stored.content) == b"painter:sesame\n"
    assert (stored.mode, stored.uid, stored.gid) == (0o400, 1000, 1000)
    assert request.client == "/etc/gpuhost/docker"
    found = plan(*plan_of({**BARE, "settings": chosen}))
    assert not {"sesame", "hunter2", stored.content} & set(re.split(r"\W", repr(found)))
    assert stored.content not in repr(found) + repr(release)


@pytest.mark.parametrize("system", ["debian12", "debian13", "ubuntu2404", "fedora42", "rocky9"])
def test_a_settled_host_has_an_empty_plan(system):
    state, *rest = plan_of({"host": f"settled {system}"})
    assert plan(state, *rest).empty


def line(found):
    """One line of a plan as a sentence, with release names made equal."""
    if isinstance(found, Refusal):
        text = f"refused | {found.subject} | {found.found} | {found.remedy}"
    else:
        text = f"{found.stage.value} | {found.subject} | {found.now} -> {found.wanted}"
    return re.sub(r"\brelease [0-9a-f]{12}\b", "release ID", text)


def deed(action):
    """One action in a few words."""
    match action:
        case actions.WriteFile(path, _, mode, owner):
            return f"write {path} {mode:04o} {owner}"
        case actions.WriteKey(path, source):
            return f"write {path} from {source}"
        case actions.MakeDirectory(path, mode, owner):
            return f"make {path} {mode:04o} {owner}"
        case actions.Packages(_, install, remove, key):
            parts = ["install", *install, *(["remove", *remove] if remove else [])]
            return " ".join([*parts, *(["by", key] if key else [])])
        case actions.ConfigureDaemon(text, effect, live_restore):
            return f"{'write and ' if text else ''}{effect}{', live' if live_restore else ''}"
        case actions.SwitchInstance(name, _, order):
            return f"switch {name} to ID{_ordered(json.loads(order))}"
        case _:
            words = [getattr(action, field.name) for field in fields(action)]
            return " ".join([type(action).__name__, *(str(word) for word in words)])


def _ordered(order):
    """What is unusual about an order."""
    gates = list(order["release"]["gates"])
    words = [f", gates {' '.join(gates)}"] if gates != ["answers", "gpu", "picture"] else []
    return "".join([" again" if order["request"]["recreate"] else "", *words])


def assert_lines(found, wanted):
    if wanted[-1:] == ["..."]:
        found, wanted = found[: len(wanted) - 1], wanted[:-1]
    assert len(found) == len(wanted), "\n".join(["", *found])
    for one, pattern in zip(found, wanted, strict=True):
        parts = [re.escape(part) for part in " ".join(pattern.split()).split("...")]
        assert re.fullmatch(".*".join(parts), one, re.DOTALL), f"\n{one}\n{pattern}"


KINDS = {"cards": Gpu, "pci": PciGpu, "files": File, "containers": Container, "disks": Disk}
NEW: dict[Any, dict[str, Any]] = {
    Container: {"status": "running", "health": "healthy", "image": "", "labels": {},
                "exit_code": 0, "error": "", "gpus_seen": None},
    Gpu: {"driver": pretend.DRIVER, "memory_mib": 24564, "mig": False},
}  # fmt: skip


def dotted(changes):
    """`{"engine.version": 1}` as `{"engine": {"version": 1}}`; paths of files stay whole."""
    found: dict[str, Any] = {}
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if rest or isinstance(value, dict):
            found.setdefault(head, {}).update({rest: value} if rest else value)
        else:
            found[head] = value
    return found


def changed(value, changes):
    """A copy of a frozen dataclass with the changes of a YAML mapping in it."""
    return replace(
        value, **{name: _new(getattr(value, name), one, name) for name, one in changes.items()}
    )


def _new(old, wanted, name):
    if is_dataclass(old):
        return changed(old, wanted)
    if isinstance(old, dict):
        kept = {key: one for key, one in old.items() if wanted.get(key, one) is not None}
        new = {k: _entry(old.get(k), v, name, k) for k, v in wanted.items() if v is not None}
        return {**kept, **new}
    if name == "ports":
        return old | {tuple(pair) for pair in wanted}
    if isinstance(wanted, list):
        kind = KINDS.get(name)
        made = [kind(**{**NEW.get(kind, {}), **one}) if kind else one for one in wanted]
        return type(old)(made) if isinstance(old, (tuple, frozenset)) else tuple(made)
    return wanted


def _entry(old, wanted, name, key):
    kind = KINDS.get(name)
    if kind is None:
        return tuple(wanted) if isinstance(wanted, list) else wanted
    if kind is File:
        wanted = _file(old, wanted)
        old = old or File(key)
    if kind is Container:
        old = old or Container(name=key, **NEW[Container])
        wanted = {**wanted, "gpus_seen": _tuple(wanted.get("gpus_seen", old.gpus_seen))}
        if "labels" in wanted:
            wanted["labels"] = {**old.labels, **wanted["labels"]}
    return replace(old, **wanted) if old else kind(**wanted)


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _file(old, wanted):
    if "content" not in wanted:
        return {"kind": "file", "owner": "0:0", **(_given(old) if old else {}), **wanted}
    content = wanted["content"]
    content = content if isinstance(content, bytes) else content.encode()
    made = _given(pretend.written("", content))
    return {**made, **wanted, "content": content}


def _given(file):
    return {field.name: getattr(file, field.name) for field in fields(file) if field.name != "path"}
