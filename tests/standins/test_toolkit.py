"""The container toolkit's stand-in packages, and its programs where they need no engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab.standins import driver, toolkit
from tests.lab.standins.deb import native_architecture

NAMES = {
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
}
SMI = Path(toolkit.__file__).parents[1] / "nvidia-smi"
TABLE = """mode={mode}
driver=580.126.09
loaded=580.126.09
cuda=13.0
gpu=0|GPU-0000|NVIDIA GeForce RTX 4090|8.9|24564|00000000:01:00.0|0x268410DE|[N/A]
gpu=1|GPU-1111|NVIDIA H200|9.0|143771|00000000:0A:00.0|0x233510DE|Disabled
"""


def field(package: Path, name: str) -> str:
    run = subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, check=True)
    return run.stdout.decode().strip()


def contents(package: Path) -> str:
    run = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, check=True)
    return run.stdout.decode()


def test_four_packages_of_one_version(tmp_path):
    built = toolkit.build("1.20.0", tmp_path)
    assert {field(path, "Package") for path in built} == NAMES
    assert {field(path, "Version") for path in built} == {"1.20.0-1"}
    assert {path.name.rpartition("_")[2] for path in built} == {f"{native_architecture()}.deb"}
    assert all("root/root" in line for path in built for line in contents(path).splitlines())


@pytest.mark.parametrize(
    ("version", "tools"),
    [
        (
            "1.17.8",
            "libnvidia-container-tools (>= 1.17.8-1), libnvidia-container-tools (<< 2.0.0)",
        ),
        ("1.19.1", "libnvidia-container-tools (= 1.19.1-1)"),
    ],
)
def test_dependencies_are_exact_since_1_18(tmp_path, version, tools):
    package = toolkit.build(version, tmp_path)[-1]
    base = f"nvidia-container-toolkit-base (= {version}-1)"
    assert field(package, "Depends") == f"{base}, {tools}"


@pytest.mark.parametrize(("version", "there"), [("1.17.8", False), ("1.18.0", True)])
def test_refresh_units_since_1_18(tmp_path, version, there):
    base = toolkit.build(version, tmp_path)[2]
    assert ("nvidia-cdi-refresh.service" in contents(base)) is there
    assert ("nvidia-cdi-refresh.path" in contents(base)) is there


def test_same_bytes_every_time(tmp_path):
    once, again = (toolkit.build("1.20.0", tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_driver_packages_depend_on_one_version(tmp_path):
    built = driver.build(tmp_path, "570.169-1")
    names = [field(path, "Package") for path in built]
    assert names == ["nvidia-smi", "nvidia-kernel-dkms", "nvidia-driver"]
    assert (
        field(built[-1], "Depends") == "nvidia-kernel-dkms (= 570.169-1), nvidia-smi (= 570.169-1)"
    )


@pytest.fixture
def ctk(tmp_path):
    """Run nvidia-ctk of a version against a table of its own."""
    table = tmp_path / "gpus.table"

    def run(
        *arguments: str, version: str = "1.20.0", mode: str = "ok", smi: bool = True
    ) -> subprocess.CompletedProcess[str]:
        table.write_text(TABLE.format(mode=mode))
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        tool = programs / "nvidia-ctk"
        text = toolkit.packages(version)[2].files["/usr/bin/nvidia-ctk"].text
        tool.write_text(text.replace("/var/lib/gpuhost-lab/gpus.table", str(table)))
        if smi:
            (programs / "nvidia-smi").unlink(missing_ok=True)
            (programs / "nvidia-smi").symlink_to(SMI)
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "GPUHOST_LAB_TABLE": str(table)}
        return subprocess.run(
            ["/bin/sh", str(tool), *arguments], env=environment, capture_output=True, text=True
        )

    return run


def test_version(ctk):
    first, second = ctk("--version", version="1.17.8").stdout.splitlines()
    assert first == "NVIDIA Container Toolkit CLI version 1.17.8"
    assert second.startswith("commit: ")


@pytest.mark.parametrize(("version", "cdi"), [("1.17.8", "0.5.0"), ("1.19.1", "0.7.0")])
def test_generated_spec(ctk, version, cdi):
    spec = yaml.safe_load(ctk("cdi", "generate", version=version).stdout)
    assert (spec["cdiVersion"], spec["kind"]) == (cdi, "nvidia.com/gpu")
    nodes = {
        device["name"]: [node["path"] for node in device["containerEdits"]["deviceNodes"]]
        for device in spec["devices"]
    }
    assert nodes == {
        "0": ["/dev/nvidia0"],
        "GPU-0000": ["/dev/nvidia0"],
        "1": ["/dev/nvidia1"],
        "GPU-1111": ["/dev/nvidia1"],
        "all": ["/dev/nvidia0", "/dev/nvidia1"],
    }
    assert "--host-driver-version=580.126.09" in spec["containerEdits"]["hooks"][0]["args"]


@pytest.mark.parametrize(
    ("mode", "smi", "reason"),
    [
        ("ok", False, "ERROR_LIBRARY_NOT_FOUND"),
        ("nolib", True, "ERROR_LIBRARY_NOT_FOUND"),
        ("nodriver", True, "ERROR_DRIVER_NOT_LOADED"),
        ("mismatch", True, "ERROR_LIB_RM_VERSION_MISMATCH"),
    ],
)
def test_no_spec_without_driver(ctk, tmp_path, mode, smi, reason):
    output = tmp_path / "cdi/nvidia.yaml"
    done = ctk("cdi", "generate", f"--output={output}", mode=mode, smi=smi)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith(
        'level=error msg="failed to generate CDI spec: failed to create device CDI specs: '
        f'failed to construct device spec generators: failed to initialize NVML: {reason}"'
    )
    assert not output.exists()


def test_list_has_names_on_stdout_and_their_number_on_stderr(ctk, tmp_path):
    ctk("cdi", "generate", f"--output={tmp_path}/cdi/nvidia.yaml")
    done = ctk("cdi", "list", f"--spec-dir={tmp_path}/cdi")
    names = ("0", "1", "GPU-0000", "GPU-1111", "all")
    assert done.stdout == "".join(f"nvidia.com/gpu={name}\n" for name in names)
    assert done.stderr.endswith('level=info msg="Found 5 CDI devices"\n')


def test_list_exits_0_with_nothing_corrupt_or_conflicting(ctk, tmp_path):
    folder = tmp_path / "cdi"
    folder.mkdir()
    empty = ctk("cdi", "list", f"--spec-dir={folder}")
    (folder / "nvidia.yaml").write_text("{half")
    corrupt = ctk("cdi", "list", f"--spec-dir={folder}")
    for name in ("nvidia.yaml", "other.yaml"):
        ctk("cdi", "generate", f"--output={folder}/{name}")
    conflict = ctk("cdi", "list", f"--spec-dir={folder}")
    for done in (empty, corrupt, conflict):
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.endswith('msg="Found 0 CDI devices"\n')
    assert "failed to load CDI Spec" in corrupt.stderr
    assert 'conflicting device \\"nvidia.com/gpu=0\\"' in conflict.stderr
