"""Dependencies point one way, files are small, and things are where the map says."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpuhost"
LAYERS = [
    {"pure"},
    {"machine"},
    {"facts"},
    {"session"},
    {"operations"},
    {"deploys", "tasks", "startup"},
]
"""Lower layers first. "machine" is the one that runs pyinfra: its terminal, and registries."""
MACHINE = {
    "keys",
    "lookup",
    "notify",
    "progress",
    "report",
    "registry",
    "registry_client",
    "registry_http",
    "resolving",
    "timers",
}
HEAVY = {"pyinfra", "pyinfra_cli", "requests", "paramiko", "gevent", "click", "rich", "docker"}
DATA_READERS = {"gpuhost.session", "gpuhost.startup", "gpuhost.tasks.gathering"}
URLS = {"https://index.docker.io/v1/", "https://registry-1.docker.io"}
"""Docker Hub's own names for itself: part of the protocol, not an address to choose."""
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "inside" not in path.parts)


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): ast.parse(path.read_text()) for path in SOURCES}


def layer_of(module):
    word = module.partition(".")[2].partition(".")[0]
    if word in ("facts", "operations", "deploys", "session", "tasks", "startup"):
        return word
    return "machine" if word in MACHINE else "pure"


def rank(module):
    return next(i for i, layer in enumerate(LAYERS) if layer_of(module) in layer)


def imports(module, nodes):
    """What these statements import, as full names."""
    package = module if (PACKAGE.parent / module.replace(".", "/")).is_dir() else _parent(module)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = f"{package}.{base}".rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in MODULES else base


def _parent(module):
    return module.rpartition(".")[0]


def statements(tree):
    """All statements, without those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from statements(node)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    above = [
        name
        for name in imports(module, statements(MODULES[module]))
        if name in MODULES and rank(name) > rank(module)
    ]
    assert above == []


@pytest.mark.parametrize("module", [name for name in MODULES if layer_of(name) == "pure"])
def test_pure_modules_know_no_machinery(module):
    found = {name.split(".")[0] for name in imports(module, statements(MODULES[module]))}
    assert found & HEAVY == set()


@pytest.mark.parametrize("module", [name for name in MODULES if layer_of(name) == "machine"])
def test_the_machines_modules_know_no_pyinfra(module):
    found = {name.split(".")[0] for name in imports(module, statements(MODULES[module]))}
    assert found & {"pyinfra", "pyinfra_cli", "paramiko", "gevent"} == set()


def test_no_module_imports_itself_in_a_circle():
    graph = {
        module: {
            name for name in imports(module, statements(tree)) if name in MODULES and name != module
        }
        for module, tree in MODULES.items()
    }
    list(TopologicalSorter(graph).static_order())


def test_host_data_is_read_in_few_places():
    readers = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "data"
        and ast.unparse(node.value).endswith("host")
    }
    assert readers <= DATA_READERS


def test_tasks_read_only_what_to_print_and_how():
    tree = MODULES["gpuhost.tasks.gathering"]
    reads = [node for node in ast.walk(tree) if "host.data" in _text(node)]
    calls = {_text(node) for node in reads if isinstance(node, ast.Call)}
    assert calls == {"host.data.get('format')", "host.data.get('instance')"}


def _text(node):
    return ast.unparse(node) if isinstance(node, ast.expr) else ""


@pytest.mark.parametrize("module", MODULES)
def test_no_addresses_in_code(module):
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(MODULES[module])
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    }
    texts = [
        node.value
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docs
    ]
    found = {url for text in texts for url in re.findall(r"https?://[\w.-]*\w[\w./-]*", text)}
    assert {url for url in found if not _harmless(url)} == set()


def _harmless(url):
    host = url.partition("://")[2].partition("/")[0]
    return url in URLS or host in ("127.0.0.1", "host") or host.endswith(".example")


def test_the_sources_of_packages_stand_in_the_settings():
    text = (ROOT / "group_data" / "all.py").read_text()
    assert len(re.findall(r"https://", text)) >= 6


EVERYTHING = [
    path
    for folder in ("gpuhost", "tests", "inventories", "group_data", "templates")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]


def test_no_file_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
    assert [path for path in EVERYTHING if path.stem in drawers] == []


@pytest.mark.parametrize("path", SOURCES, ids=[module_of(path) for path in SOURCES])
def test_modules_are_small(path):
    assert len(path.read_text().splitlines()) <= 250


def test_stand_ins_are_in_one_place():
    shipped = [path for path in EVERYTHING if path.parts[len(ROOT.parts)] != "tests"]
    words = re.compile(rb"stand-?in|gpus\.table|gpuhost-lab", re.IGNORECASE)
    lab = ROOT / "inventories" / "lab.py"
    own = {lab, ROOT / "inventories" / "lab.lock.yaml"}
    assert [path for path in shipped if words.search(path.read_bytes()) and path not in own] == []
    played = {"nvidia-smi", "nvidia-ctk", "nvidia-container-cli", "webui.py"}
    places = {path.parent for path in EVERYTHING if path.name in played}
    assert {place for place in places if ROOT / "tests/lab/standins" not in place.parents
            and place != ROOT / "tests/lab/standins"} == set()  # fmt: skip


def test_the_programs_inside_the_image_need_only_the_standard_library():
    for path in (PACKAGE / "inside").glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        names = {name.split(".")[0] for name in imports("gpuhost.inside", ast.walk(tree))}
        assert names <= {"base64", "json", "os", "sys", "time", "typing", "urllib"}
