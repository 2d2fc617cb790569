"""The program as one file: always the same bytes, run by any Python from 3.9 on."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gpuhost import switch_program

PACKAGE = Path(switch_program.__file__).parent
SOURCES = sorted([*(PACKAGE / "hostside").glob("*.py"), *(PACKAGE / "inside").glob("*.py")])
TREES = {path.name: ast.parse(path.read_text(), feature_version=(3, 9)) for path in SOURCES}


def test_the_same_sources_are_the_same_bytes():
    first = switch_program.archive()
    switch_program.archive.cache_clear()
    assert switch_program.archive() == first


def test_it_holds_what_it_imports_and_nothing_else(tmp_path):
    path = tmp_path / "switch.pyz"
    path.write_bytes(switch_program.archive())
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    hostside = {f"gpuhost/hostside/{path.name}" for path in (PACKAGE / "hostside").glob("*.py")}
    assert names == {"__main__.py", "gpuhost/__init__.py", "gpuhost/inside/gates.py", *hostside}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module


@pytest.mark.parametrize("name", TREES)
def test_it_needs_only_the_standard_library(name):
    foreign = {
        module
        for module in imported(TREES[name])
        if module.partition(".")[0] not in sys.stdlib_module_names
        and not module.startswith("gpuhost.hostside")
    }
    assert foreign == set()


@pytest.mark.parametrize("name", TREES)
def test_annotations_are_never_evaluated(name):
    """`X | Y` in one is of Python 3.10."""
    if name in ("gates.py", "sitecustomize.py", "__init__.py"):
        return
    assert "annotations" in [
        alias.name
        for node in TREES[name].body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    ]


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_newer_than_python_3_9(name):
    newer = []
    annotations = {
        id(inner)
        for node in ast.walk(TREES[name])
        for given in (
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
        )
        if given is not None
        for inner in ast.walk(given)
    }
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            words = {keyword.arg for keyword in node.keywords}
            called = ast.unparse(node.func)
            if called == "zip" and "strict" in words:
                newer.append("zip(strict=)")
            if called.endswith("dataclass") and words & {"slots", "kw_only"}:
                newer.append("dataclass(slots=)")
            if called in ("isinstance", "issubclass") and isinstance(node.args[1], ast.BinOp):
                newer.append("isinstance(x, A | B)")
            if called in ("aiter", "anext") or called.endswith((".pairwise", ".bit_count")):
                newer.append(called)
        names = ("int", "str", "float", "bytes", "bool", "None", "list", "dict", "tuple")
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.BitOr)
            and id(node) not in annotations
            and {ast.unparse(node.left), ast.unparse(node.right)} & set(names)
        ):
            newer.append(ast.unparse(node))
    assert newer == []


@pytest.fixture
def program(tmp_path):
    """Run the file itself, where nothing of this repository can be imported."""
    path = tmp_path / "switch.pyz"
    path.write_bytes(switch_program.archive())
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "systemctl"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} $* >>{tmp_path}/calls\nexit 1\n")
        (folder / name).chmod(0o755)

    def run(*words, stdin=""):
        return subprocess.run(
            [sys.executable, "-I", str(path), *words], input=stdin, cwd=tmp_path, timeout=60,
            capture_output=True, text=True, env={"PATH": f"{folder}:{os.environ['PATH']}"},
        )  # fmt: skip

    return run


@pytest.mark.parametrize("words", [[], ["dance"], ["accept"], ["run"], ["lift"], ["remove"]])
def test_it_says_how_it_is_used(program, words):
    done = program(*words)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("switch.pyz accept | run | boot | lift | remove | report | prune")
    assert "Traceback" not in done.stderr


def test_a_module_of_the_file_finds_the_gates_in_it(tmp_path):
    path = tmp_path / "switch.pyz"
    path.write_bytes(switch_program.archive())
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r})\n"
        "from gpuhost.hostside import inside\n"
        "sys.stdout.buffer.write(inside.program())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=60)
    assert done.stdout == (PACKAGE / "inside" / "gates.py").read_bytes()


BAD_ORDERS = {
    "no json": ("{", "Expecting property name"),
    "no object": ("[]", "an order should be an object"),
    "no request": ("{}", "request: should name a release"),
    "no release's name": ('{"request": {"release": 1}}', "request: should name a release"),
    "odd layers": ('{"request": {"release": "a", "layers": [1]}}', "layers should be pairs"),
    "half a release": (
        json.dumps({"request": {"release": "a"}, "release": {"id": "a"}}),
        "the release is not as it should be; is switch.pyz of another version?",
    ),
    "an unknown release": ('{"request": {"release": "a"}}', "release a is not stored on this host"),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_a_bad_order_is_refused_in_a_line(monkeypatch, capsys, tmp_path, name):
    import io

    from gpuhost.hostside import __main__ as program
    from gpuhost.hostside.places import Places

    order, reason = BAD_ORDERS[name]
    monkeypatch.setattr(program, "Places", lambda instance: Places(instance, tmp_path))
    monkeypatch.setattr(program, "_start", lambda _: pytest.fail("started"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(order))
    assert program.main(["accept", "webui"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("accept: ")
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "webui" / "journal.json").exists()
