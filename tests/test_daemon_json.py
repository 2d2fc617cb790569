import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhost.daemon_json import (
    ABSENT,
    Change,
    DaemonJsonError,
    Effect,
    effect,
    merge,
    parse,
    problems,
)
from tests.lab.trixie_dockerd import trixie_dockerd

NVIDIA = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}}}


def text(value: object) -> str:
    return json.dumps(value, indent=4) + "\n"


@pytest.mark.parametrize("current", [None, b"", b" \n\t\r\n"])
def test_an_empty_file_is_an_empty_object(current):
    assert merge(current, NVIDIA).text == text(NVIDIA)


def test_a_merge_keeps_features_it_was_not_asked_about():
    current = b'{"features":{"containerd-snapshotter":true},"live-restore":true}'
    merged = merge(current, {"features": {"cdi": True}})
    assert merged.settings == {
        "features": {"containerd-snapshotter": True, "cdi": True},
        "live-restore": True,
    }
    assert merged.changes == (Change(("features", "cdi"), ABSENT, True),)


def test_order_and_big_integers_and_letters_survive():
    current = (
        b'{"z": 123456789012345678901234567890, "a": {"q": [1, {"y": null}], "b": "\xc3\xa9"}}'
    )
    merged = merge(current, {"live-restore": True})
    assert merged.text == (
        '{\n    "z": 123456789012345678901234567890,\n    "a": {\n        "q": [\n'
        '            1,\n            {\n                "y": null\n            }\n        ],\n'
        '        "b": "é"\n    },\n    "live-restore": true\n}\n'
    )


def test_a_half_letter_that_utf8_cannot_hold_survives():
    merged = merge(rb'{"labels": ["\ud800 \u00e9"]}', {"debug": True})
    assert merged.settings["labels"] == ["\ud800 é"]


def test_nothing_to_do_leaves_every_byte():
    current = b'{"runtimes":\r\n{"nvidia": {"args":[],"path":"nvidia-container-runtime"}} }'
    merged = merge(current, NVIDIA)
    assert (merged.text.encode(), merged.changes) == (current, ())


def test_only_wanted_values_are_replaced():
    current = text({"log-driver": "syslog", "log-opts": {"max-size": "1m", "tag": "x"}}).encode()
    merged = merge(current, {"log-driver": "json-file", "log-opts": {"max-size": "10m"}})
    assert merged.settings == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "tag": "x"},
    }
    assert merged.changes == (
        Change(("log-driver",), "syslog", "json-file"),
        Change(("log-opts", "max-size"), "1m", "10m"),
    )


@pytest.mark.parametrize(("now", "wanted"), [(1, True), (0, False), (1.0, 1), ("1", 1), (None, 0)])
def test_values_that_python_confuses_are_different(now, wanted):
    assert merge(text({"mtu": now}).encode(), {"mtu": wanted}).changes


@pytest.mark.parametrize(("now", "ours", "then"), [
    ([], ["https://a"], ["https://a"]),
    (["https://x"], ["https://a"], ["https://a", "https://x"]),
    (["https://x", "https://a"], ["https://a"], ["https://a", "https://x"]),
    (["https://a/", "https://x"], ["https://a"], ["https://a/", "https://x"]),
    (["https://a", "https://x"], ["https://b", "https://a"],
     ["https://b", "https://a", "https://x"]),
])  # fmt: skip
def test_our_mirrors_come_first_and_others_stay(now, ours, then):
    current = text({"registry-mirrors": now}).encode()
    merged = merge(current, {"registry-mirrors": ours})
    assert merged.settings["registry-mirrors"] == then
    assert bool(merged.changes) is (now != then)


def test_other_lists_are_replaced():
    current = text({"exec-opts": ["native.cgroupdriver=systemd"]}).encode()
    wanted = {"exec-opts": ["native.cgroupdriver=cgroupfs"]}
    assert merge(current, wanted).settings == wanted


def test_a_key_can_be_removed():
    current = text({"default-runtime": "nvidia", "features": {"cdi": True, "x": True}}).encode()
    merged = merge(current, {"default-runtime": ABSENT, "features": {"cdi": ABSENT}})
    assert merged.settings == {"features": {"x": True}}
    assert merged.changes == (
        Change(("default-runtime",), "nvidia", ABSENT),
        Change(("features", "cdi"), True, ABSENT),
    )


def test_removing_what_is_not_there_changes_nothing():
    merged = merge(b"{}", {"default-runtime": ABSENT, "features": {"cdi": ABSENT}})
    assert (merged.text, merged.changes) == ("{}", ())


@pytest.mark.parametrize(("current", "message"), [
    (b'\xef\xbb\xbf{}', "starts with a byte order mark; save it as UTF-8 without one"),
    ('{"a": 1}'.encode("utf-16"), "should be UTF-8, got 0xff at byte 0; save it as UTF-8"),
    (b'{"a": "\xe9"}', "should be UTF-8, got 0xe9 at byte 7; save it as UTF-8"),
    (b'{\n  // mirrors\n  "a": 1}', "line 2 column 3: comments are not JSON; remove them"),
    (b'{"a": 1 /* one */}', "line 1 column 9: comments are not JSON; remove them"),
    (b'# daemon\n{}', "line 1 column 1: comments are not JSON; remove them"),
    (b'{"a": 1}\n// end', "line 2 column 1: comments are not JSON; remove them"),
    (b'{"a": 1', "line 1 column 8: not valid JSON, expecting ',' delimiter"),
    (b'{"a": }', "line 1 column 7: not valid JSON, expecting value"),
    (b'{"a": 1}}', "line 1 column 9: not valid JSON, extra data"),
    (b'[]', "should be an object at the top, got []; write {...}"),
    (b'null', "should be an object at the top, got None; write {...}"),
    (b'{"runtimes": []}', "runtimes: should be an object, got []"),
    (b'{"runtimes": {"nvidia": "x"}}', "runtimes.nvidia: should be an object, got 'x'"),
    (b'{"registry-mirrors": "x"}', "registry-mirrors: should be a list, got 'x'"),
    (b'{"a": {"b": 1, "b": 2}}', "key 'b' is there twice and the engine would keep only the last:"
     " 1 and 2; write it once"),
    (b'{"a": NaN}', "NaN is not JSON; write a number"),
    (b'{"a": -Infinity}', "-Infinity is not JSON; write a number"),
    (b'{"a": 1e999}', "number '1e999' is too large"),
    (b'{"a": ' + b"9" * 5000 + b"}", "holds a number too long to be a setting"),
    (b'{"a": ' + b"[" * 100000, "nested too deeply to be a configuration"),
])  # fmt: skip
def test_refusals_say_what_is_wrong(current, message):
    with pytest.raises(DaemonJsonError) as refusal:
        merge(current, {**NVIDIA, "registry-mirrors": ["https://a"]})
    assert str(refusal.value) == f"daemon.json: {message}"


@pytest.mark.parametrize(("path", "wanted", "needed"), [
    (("runtimes", "nvidia", "path"), "x", Effect.RELOAD),
    (("default-runtime",), "nvidia", Effect.RELOAD),
    (("default-runtime",), ABSENT, Effect.RESTART),
    (("registry-mirrors",), ["https://a"], Effect.RELOAD),
    (("registry-mirrors",), ABSENT, Effect.RESTART),
    (("live-restore",), True, Effect.RELOAD),
    (("features", "cdi"), True, Effect.RESTART),
    (("features", "containerd-snapshotter"), True, Effect.RESTART),
    (("features", "buildkit"), ABSENT, Effect.RELOAD),
    (("features",), {}, Effect.RESTART),
    (("cdi-spec-dirs",), ["/etc/cdi"], Effect.RESTART),
    (("exec-opts",), ["native.cgroupdriver=cgroupfs"], Effect.RESTART),
    (("log-opts", "max-size"), "10m", Effect.RESTART),
    (("key-of-tomorrow",), 1, Effect.RESTART),
])  # fmt: skip
def test_effect_of_a_change(path, wanted, needed):
    assert effect([Change(path, None, wanted)]) is needed


def test_the_strongest_effect_counts():
    assert effect([]) is Effect.NOTHING
    reload, restart = Change(("debug",), ABSENT, True), Change(("bip",), ABSENT, "10.0.0.1/24")
    assert effect([reload, restart, reload]) is Effect.RESTART


@pytest.mark.parametrize(("found", "flags", "says"), [
    ({"default-runtime": "nvidia"}, "",
     ["daemon.json: default-runtime: should be one of runc, got 'nvidia'"]),
    ({"default-runtime": "nvidia", **NVIDIA}, "", []),
    ({"default-runtime": "runc"}, "", []),
    ({"default-runtime": "io.containerd.kata.v2"}, "", []),
    ({"runtimes": {"runc": {"path": "x"}}}, "",
     ["daemon.json: runtimes.runc: is a name the engine keeps for itself, call it otherwise"]),
    ({"hosts": ["fd://"]}, "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd.sock",
     ["daemon.json: hosts: is set here and as -H in the engine's unit, remove one of them"]),
    ({"hosts": ["fd://"]}, "--host=fd://",
     ["daemon.json: hosts: is set here and as --host in the engine's unit, remove one of them"]),
    ({"hosts": ["fd://"]}, "--containerd=/run/containerd/containerd.sock", []),
    ({"data-root": "/x"}, "--data-root /y",
     ["daemon.json: data-root: is set here and as --data-root in the engine's unit, "
      "remove one of them"]),
    ({"registry-mirrors": ["https://a"]}, "--registry-mirror 'https://a b' -",
     ["daemon.json: registry-mirrors: is set here and as --registry-mirror in the engine's unit, "
      "remove one of them"]),
    (NVIDIA, "--add-runtime x=/y", []),
    ({"debug": True}, "-D 'unclosed",
     ["daemon.json: debug: is set here and as -D in the engine's unit, remove one of them"]),
])  # fmt: skip
def test_problems_that_validate_does_not_see(found, flags, says):
    assert problems(found, flags) == says


names = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
objects = st.dictionaries(names, values, max_size=5)
ours = st.fixed_dictionaries({}, optional={
    "live-restore": st.booleans(),
    "features": st.fixed_dictionaries({"cdi": st.booleans() | st.just(ABSENT)}),
    "runtimes": st.just(NVIDIA["runtimes"]),
    "registry-mirrors": st.lists(st.sampled_from(["https://a", "https://b/", "https://c"])),
    "log-opts": st.dictionaries(names, st.text(max_size=3), max_size=2),
})  # fmt: skip


def foreign(before: Any, wanted: Any) -> dict[str, Any]:
    """What is not ours to change: every value that the wanted tree does not name."""
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return {}
    kept: dict[str, Any] = {}
    for key, value in before.items():
        if key not in wanted:
            kept[key] = value
        elif isinstance(wanted[key], dict) and isinstance(value, dict):
            kept[key] = foreign(value, wanted[key])
    return kept


def holds(after: Any, kept: dict[str, Any]) -> bool:
    return all(
        holds(after[key], value) if isinstance(value, dict) else repr(after[key]) == repr(value)
        for key, value in kept.items()
    )


@settings(deadline=None)
@given(before=objects, wanted=ours)
def test_no_foreign_value_is_lost_and_a_second_merge_changes_nothing(before, wanted):
    current = json.dumps(before).encode()
    try:
        merged = merge(current, wanted)
    except DaemonJsonError as error:
        assert "should be" in str(error)  # noqa: PT017
        return
    after = merged.settings
    assert holds(after, foreign(before, wanted))
    order = [key for key in after if key in before]
    assert order == [key for key in before if key in after]
    again = merge(merged.text.encode(), wanted)
    assert (again.text, again.changes) == (merged.text, ())
    if not merged.changes:
        assert merged.text.encode() == current


@settings(deadline=None)
@given(before=objects, indent=st.sampled_from([None, 1, 2, "\t"]))
def test_a_file_that_is_already_right_keeps_every_byte(before, indent):
    current = json.dumps(before, indent=indent, ensure_ascii=False).encode()
    merged = merge(current, before)
    assert (merged.text.encode(), merged.changes) == (current, ())


@settings(deadline=None)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(data):
    try:
        merge(data, NVIDIA)
    except DaemonJsonError as error:
        assert "\n" not in str(error)  # noqa: PT017


REALISTIC = {
    "nothing yet": b"",
    "log rotation": b'{"log-driver": "json-file", "log-opts": {"max-size": "5m", "max-file": "2"}}',
    "a mirror and a data root": b'{"registry-mirrors":["https://m.example"],"data-root":"/big"}',
    "the legacy runtime": b'{"default-runtime":"nvidia","runtimes":{"nvidia":{"path":"/n"}}}',
    "features": b'{"features":{"containerd-snapshotter":true,"buildkit":false},"debug":true}',
    "networks": b'{"bip":"10.9.0.1/24","default-address-pools":[{"base":"10.8.0.0/16","size":24}],'
    b'"dns":["10.0.0.1"],"mtu":1450}',
    "cgroups": b'{"exec-opts":["native.cgroupdriver=systemd"],"storage-driver":"overlay2"}',
}
WANTED = {
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "live-restore": True,
    "features": {"cdi": True},
    "registry-mirrors": ["https://depot.example:5000"],
    **NVIDIA,
}


def validate(tmp_path: Path, content: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "daemon.json"
    file.write_text(content)
    command = [str(trixie_dockerd()), "--validate", "--config-file", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", REALISTIC)
def test_the_engine_accepts_what_we_write(name, tmp_path):
    done = validate(tmp_path, merge(REALISTIC[name], WANTED).text)
    assert (done.returncode, (done.stdout + done.stderr).strip()) == (0, "configuration OK")


@pytest.mark.parametrize("content", ['{"foo": 1}', '{"features": {"cdi": "true"}}', "{"])
def test_the_engine_that_judges_does_refuse(content, tmp_path):
    assert validate(tmp_path, content).returncode == 1


def test_parse_reads_an_object():
    assert parse(b'{"a": 1}') == {"a": 1}
