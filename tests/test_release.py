import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
import yaml

from gpuhost import release as releases
from gpuhost import templates
from gpuhost.release import Release
from tests.defaults import DATA, checked

IMAGE = f"docker.io/yanwk/sd-webui-base@sha256:{'1' * 64}"
BASE = {"name": "webui", "gpus": "all", "port": 7860, "flags": "--xformers --medvram --api"}
LOGIN = "painter:sesame"


def release(settings=None, instance=None, **changes):
    checked_settings = checked(**{"webui_instances": [{**BASE, **(instance or {})}],
                                  **(settings or {})})  # fmt: skip
    one = Release(checked_settings.webui_instances[0], checked_settings, IMAGE, "cdi")
    return replace(one, **changes)


INPUTS: dict[str, dict[str, Any]] = {
    "another image": {"image": IMAGE.replace("1", "2")},
    "gpus by cdi or by hook": {"access": "hook"},
    "a login": {"login": LOGIN},
    "another name": {"instance": {"name": "other"}},
    "other gpus": {"instance": {"gpus": [0]}},
    "another port": {"instance": {"port": 7861}},
    "other flags": {"instance": {"flags": "--api"}},
    "another address": {"instance": {"address": "127.0.0.2"}},
    "other storage": {"instance": {"storage": "/data"}},
    "another address of all": {"settings": {"webui_address": "127.0.0.2"}},
    "another variable": {"settings": {"webui_environment": {"A": "1"}}},
    "more shared memory": {"settings": {"webui_shm_size": "4g"}},
    "more time to stop": {"settings": {"webui_stop_timeout": 31}},
    "larger logs": {"settings": {"webui_log_size": "11m"}},
    "more logs": {"settings": {"webui_log_files": 4}},
    "another storage path": {"settings": {"storage_path": "/data"}},
    "more time to start": {"settings": {"gate_start_timeout": 1801}},
}
SHAPING = {key for case in INPUTS.values() for key in case.get("settings", {})}


@pytest.mark.parametrize("name", INPUTS)
def test_the_id_moves_with(name):
    case = INPUTS[name]
    assert release(**case).id != release().id


def test_no_two_inputs_share_an_id():
    ids = [release(**case).id for case in INPUTS.values()]
    same = {"another address": "another address of all"}
    assert len(set(ids)) == len(ids) - len(same)


def test_the_id_moves_with_the_password():
    one, other = (release(login=f"painter:{word}").id for word in ("sesame", "simsim"))
    assert one != other


def test_the_id_moves_with_the_template(monkeypatch):
    before = release().id
    render = templates.render
    monkeypatch.setattr(
        templates, "render", lambda name, /, **words: render(name, **words) + "# more\n"
    )
    assert release().id != before


def test_the_id_moves_with_what_is_mounted(monkeypatch):
    before = release(login=LOGIN).id
    monkeypatch.setattr(releases, "inside", lambda name: b"# other\n")
    assert release(login=LOGIN).id != before


def other(key):
    value = DATA[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        special = {"engine_source": "distro", "toolkit_gpu_access": "hook",
                   "toolkit_version": "1.19.1-1", "drain_on_timeout": "force",
                   "cycle_schedule": "*-*-* 05:00", "cycle_delay": "1h"}  # fmt: skip
        return special.get(key, value[::-1] if "fingerprint" in key else f"{value}x")
    if isinstance(value, dict):
        return {"a": "b"}
    return [*value, f"sha256:{'a' * 64}" if key == "prune_pinned" else "x"]


@pytest.mark.parametrize("key", sorted(set(DATA) - SHAPING - {"webui_instances"}))
def test_the_id_does_not_move_with(key):
    changes = {key: other(key)}
    needs: dict[str, dict[str, Any]]
    needs = {"driver_reboot": {"driver_manage": True},
             "webui_user": {"webui_password_env": "X"},
             "image_registry_user": {"image_registry_password_env": "X"}}  # fmt: skip
    assert release(settings={**changes, **needs.get(key, {})}).id == release().id


def compose(one):
    """The compose file as compose reads it: YAML, then `$$` is a dollar."""
    text = one.compose_file.content.decode()
    assert "$" not in text.replace("$$", "")
    return yaml.safe_load(text.replace("$$", "$"))


def test_dollars_quotes_and_colons_reach_the_container():
    odd = {"A": "a$b ${c} $$", "B": 'it\'s: "x" # y', "C": "{{ jinja }}", "D": "über\tall"}
    service = compose(release({"webui_environment": odd}))["services"]["webui"]
    assert {key: service["environment"][key] for key in odd} == odd


def test_the_compose_file_is_for_root_alone():
    file = release().compose_file
    assert (file.path, file.mode, file.owner) == (
        "/etc/gpuhost/instances/webui/compose.yaml", 0o600, "0:0"
    )  # fmt: skip


def words(one):
    """`docker run` as a dictionary of lists, by flag."""
    found: dict[str, list[str]] = {}
    line = iter(one.docker_run()[2:])
    for word in line:
        if not word.startswith("--"):
            found["image"] = [word]
            continue
        flag, has, value = word[2:].partition("=")
        alone = flag in ("detach", "init")
        found.setdefault(flag, []).append(value if has or alone else next(line))
    return found


CONTAINERS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "with a login": {"login": LOGIN, "settings": {"webui_address": "0.0.0.0",
                     "webui_user": "painter", "webui_password_env": "X"}},
    "with the hook": {"access": "hook"},
    "with some gpus by hook": {"access": "hook", "instance": {"gpus": [0, 2]}},
    "with some gpus by cdi": {"instance": {"gpus": [0, "GPU-5b1d0c3e-0a11-4c2f"]}},
    "on an ipv6 address": {"settings": {"webui_address": "::1"}},
    "with variables": {"settings": {"webui_environment": {"A": "b c", "PYTHONPATH": "/x"}}},
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_docker_run_and_compose_are_one_container(name):
    one = release(**CONTAINERS[name])
    run, service = words(one), compose(one)["services"]["webui"]
    health, seconds = service["healthcheck"], "s"
    mounts = [
        f"{mount['source']}:{mount['target']}{':ro' if mount['read_only'] else ''}"
        for mount in service["volumes"]
    ]
    assert run == {
        "detach": [""],
        "name": [service["container_name"]],
        "init": [""] * service["init"],
        "restart": [service["restart"]],
        **gpu_flags(service),
        "publish": service["ports"],
        "volume": mounts,
        "env": [f"{key}={value}" for key, value in service["environment"].items()],
        "shm-size": [service["shm_size"]],
        "stop-signal": [service["stop_signal"]],
        "stop-timeout": [service["stop_grace_period"].removesuffix(seconds)],
        "security-opt": service["security_opt"],
        "health-cmd": [_joined(health["test"])],
        "health-interval": [health["interval"]],
        "health-timeout": [health["timeout"]],
        "health-retries": [str(health["retries"])],
        "health-start-period": [health["start_period"]],
        "log-driver": [service["logging"]["driver"]],
        "log-opt": [f"{key}={value}" for key, value in service["logging"]["options"].items()],
        "image": [service["image"]],
    }


def gpu_flags(service):
    (request,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert request["capabilities"] == ["gpu"]
    if request["driver"] == "cdi":
        return {"device": request["device_ids"]}
    if "device_ids" in request:
        return {"gpus": [f'"device={",".join(request["device_ids"])}"']}
    return {"gpus": [request["count"]]}


def _joined(test):
    assert test[0] == "CMD"
    return shlex.join(test[1:])


def test_a_shell_reads_the_line_as_it_was_meant():
    one = release({"webui_environment": {"A": "it's $HOME"}})
    assert shlex.split(one.docker_run_line()) == one.docker_run()


def test_labels_say_whose_it_is_and_which_release():
    one = release()
    labels = compose(one)["services"]["webui"]["labels"]
    assert labels == {
        "org.gpuhost.instance": "webui",
        "org.gpuhost.published": "127.0.0.1:7860",
        "org.gpuhost.release": one.id,
    }
    assert re.fullmatch("[0-9a-f]{12}", one.id)


def test_no_secret_is_anywhere_but_in_its_file():
    one = release(**CONTAINERS["with a login"])
    login, program = one.mounted
    assert login.content == b"painter:sesame\n"
    assert (login.mode, login.owner, program.mode) == (0o400, "1000:1000", 0o644)
    for text in (
        one.compose_file.content.decode(),
        one.docker_run_line(),
        repr(one),
        repr(one.mounted),
        repr(one.environment),
        repr(one.labels),
    ):
        assert "sesame" not in text
