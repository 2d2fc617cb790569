"""The probe itself, under two shells, among programs that are missing, broken, slow or fine."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from gpuhost.facts.host_state import HostState
from gpuhost.parsing import host_state
from gpuhost.parsing.sections import sections
from tests.lab import machine

TOOLS = ["awk", "base64", "cat", "cut", "date", "df", "dirname", "grep", "head",
         "mktemp", "printf", "readlink",
         "rm", "sed", "sha256sum", "sleep", "sort", "stat", "tr", "uname"]  # fmt: skip
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}
ROW = "0, GPU-5b1d0c3e-0a11, NVIDIA GeForce RTX 4090, 580.126.09, 8.9, 24564, [N/A]"
FINE_SMI = f"""case $1 in
-L) echo "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-5b1d0c3e-0a11)" ;;
*) echo "{ROW}" ;;
esac"""
CONTAINER = {"name": "/gpuhost-webui", "status": "running", "health": "healthy",
             "image": "app@sha256:1", "labels": {"a": "b c"}, "exit": 0, "error": ""}  # fmt: skip
INFO = {"ServerVersion": "28.5.2",
        "ClientInfo": {"Plugins": [{"Name": "compose", "Version": "v2.40.0"}]}}  # fmt: skip
FINE_DOCKER = f"""case "$1 $2" in
"--version ") echo "Docker version 28.5.2, build ecc6942" ;;
"info --format") echo '{json.dumps(INFO)}' ;;
"ps -a") echo "0a1b2c running gpuhost-webui" ;;
"container inspect") echo '{json.dumps(CONTAINER)}' ;;
"exec gpuhost-webui") nvidia-smi -L ;;
"image ls") echo "${{8#reference=}}@sha256:1" ;;
esac"""
SHORT_TIMEOUT = 'shift 3; exec {real} -k 0.2 0.4 "$@"'
"""A real timeout with less patience: the probe's own numbers would make these tests slow."""


@pytest.fixture(scope="module", params=SHELLS)
def shell(request):
    machine.need({"busybox": "busybox", "dash": "dash"}, "the tests of the probe")
    return [shutil.which(SHELLS[request.param][0]), *SHELLS[request.param][1:]]


@pytest.fixture
def probe(shell, tmp_path):
    """Run the probe where only the given programs exist beside the usual tools."""
    folder, temporary = tmp_path / "bin", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))

    def run(programs=None, **questions):
        real = shutil.which("timeout")
        for name, body in {"timeout": SHORT_TIMEOUT.format(real=real), **(programs or {})}.items():
            path = folder / name
            path.write_text(f"#!{shutil.which('dash')}\n{body}\n")
            path.chmod(0o755)
        done = subprocess.run(
            [*shell, "-c", HostState().command(**questions)],
            env={"PATH": str(folder), "TMPDIR": str(temporary), "HOME": str(tmp_path)},
            capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert list(temporary.iterdir()) == []
        return done.stdout.decode("utf-8", "replace").splitlines()

    return run


def read(report):
    return host_state(report, time.time())


def test_what_is_missing_is_not_asked(probe):
    report = probe()
    assert {"smi", "listing", "info", "images", "containers"}.isdisjoint(sections(report))
    state = read(report)
    assert (state.engine.provider, state.gpus.cards) == ("", ())
    assert state.gpus.problem in ("absent", "no-driver")
    assert abs(state.system.clock_offset) < 60
    assert state.system.kernel == os.uname().release


def test_what_is_fine(probe):
    report = probe(
        {"nvidia-smi": FINE_SMI, "docker": FINE_DOCKER},
        containers=["gpuhost-webui"],
        repositories=["registry.example/app"],
    )
    state = read(report)
    assert sections(report)["smi"].out == (ROW,)
    assert state.gpus.cards[0].name == "NVIDIA GeForce RTX 4090"
    assert (state.engine.running, state.engine.compose) == (True, "2.40.0")
    container = state.containers["gpuhost-webui"]
    assert container.gpus_seen == ("GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-5b1d0c3e-0a11)",)
    assert container.labels == {"a": "b c"}
    assert state.images == {"registry.example/app@sha256:1"}


def test_what_is_broken_keeps_its_exit_code_and_its_two_voices(probe):
    report = probe({
        "nvidia-smi": 'echo "NVIDIA-SMI has failed"; echo aside >&2; exit 9',
        "docker": '[ "$1" = info ] && echo "{}"; echo "Cannot connect to it" >&2; exit 1',
    })  # fmt: skip
    smi, info = sections(report)["smi"], sections(report)["info"]
    assert (smi.rc, smi.out, smi.err) == (9, ("NVIDIA-SMI has failed",), ("aside",))
    assert (info.rc, info.out) == (1, ("{}",))
    assert read(report).engine.detail == "Cannot connect to it"
    assert read(report).engine.running is False


@pytest.mark.parametrize("patience", ["", "trap '' TERM; "])
def test_what_hangs_is_given_up(probe, patience):
    hang = f"{patience}sleep 30 & wait; sleep 30"
    began = time.monotonic()
    report = probe({"nvidia-smi": hang, "docker": hang})
    assert time.monotonic() - began < 15
    found = sections(report)
    assert {found[name].rc for name in ("smi", "listing", "info")} <= {124, 137}
    assert read(report).engine.detail == "docker info did not answer in 15 seconds"


def test_a_container_that_hangs_is_given_up(probe):
    docker = FINE_DOCKER.replace("nvidia-smi -L ;;", "sleep 30 ;;")
    report = probe({"docker": docker}, containers=["gpuhost-webui"])
    container = read(report).containers["gpuhost-webui"]
    assert (container.status, container.gpus_seen) == ("running", None)


GARBAGE = {
    "lines in the report's own form": r"printf '@ system 0\n| x\n! y\n'",
    "no line end": "printf 'GPU 0'",
    "bytes that are no text": r"printf '\377\376\000\n'",
    "nothing": ":",
    "very much": "sed s/^/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/ /etc/services /etc/services",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_stays_in_its_own_part(probe, name):
    report = probe({"nvidia-smi": GARBAGE[name], "docker": FINE_DOCKER})
    state = read(report)
    assert state.engine.running
    assert state.gpus.cards == ()
    assert state.gpus.problem in ("unreadable", "no-devices", "absent")


def test_files_of_every_kind(probe, tmp_path):
    room = tmp_path / "files"
    room.mkdir()
    (room / "plain").write_text("hello\n")
    (room / "plain").chmod(0o640)
    (room / "folder").mkdir(mode=0o750)
    (room / "link").symlink_to(room / "folder")
    (room / "dangling").symlink_to(room / "nowhere")
    names = ("plain", "folder", "link", "dangling", "missing")
    state = read(probe(
        files=[str(room / name) for name in names],
        contents=[str(room / "plain"), str(room / "missing")],
        disks=[str(room / "not" / "yet" / "there")],
    ))  # fmt: skip
    found = {Path(path).name: file for path, file in state.files.items()}
    assert {name: file.kind for name, file in found.items()} == {
        "plain": "file", "folder": "directory", "link": "symlink", "dangling": "symlink"
    }  # fmt: skip
    assert (found["plain"].mode, found["plain"].content) == (0o640, b"hello\n")
    assert found["plain"].sha256.startswith("5891b5b522d5df08")
    assert found["link"].mode == 0o750
    assert found["plain"].owner == f"{os.getuid()}:{os.getgid()}"
    (disk,) = state.disks.values()
    assert 0 < disk.free <= disk.size


def test_listening_ports_are_seen(probe):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ("127.0.0.1", server.getsockname()[1]) in read(probe()).ports
