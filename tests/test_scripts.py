"""What the scripts do to real files, among stand-ins for the engine's own programs."""

import os
import subprocess

import pytest

from gpuhost import actions
from gpuhost.operations import shell

PROOF = actions.ProveGpus("debian@sha256:1", "cdi", "driver=1")


def written(action):
    """Script and standard input that write a file."""
    return shell.write_file(action), shell.stdin_of(action.content)


@pytest.fixture
def run(tmp_path):
    """Run a script among stand-ins, with /etc/docker moved into a folder of the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "etc").mkdir()

    def run(text, stdin="", **programs):
        for name, body in programs.items():
            (folder / name).write_text(f"#!/bin/sh\necho {name} $* >>{tmp_path}/calls\n{body}\n")
            (folder / name).chmod(0o755)
        return subprocess.run(
            ["sh", "-c", text.replace("/etc/docker", str(tmp_path / "etc"))],
            input=stdin, capture_output=True, text=True, timeout=30,
            env={"PATH": f"{folder}:{os.environ['PATH']}"},
        )  # fmt: skip

    return run


ME = f"{os.getuid()}:{os.getgid()}"


def test_a_file_is_written_beside_and_renamed(run, tmp_path):
    path = tmp_path / "new folder" / "it's"
    action = actions.WriteFile(str(path), b"\x00\xff\n", 0o640, ME)
    found = written(action)
    done = run(*found)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == b"\x00\xff\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_stays(run, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    found = written(actions.WriteFile(str(path), b"new", 0o600, ME))
    done = run(found[0], "this is not base64!")
    assert done.returncode != 0
    assert path.read_text() == "old"


def test_a_directory_keeps_what_is_in_it(run, tmp_path):
    inner = tmp_path / "a" / "b" / "picture.png"
    inner.parent.mkdir(parents=True)
    inner.write_text("x")
    inner.chmod(0o604)
    assert (
        run(shell.make_directory(actions.MakeDirectory(str(tmp_path / "a"), 0o750, ME))).stderr
        == ""
    )
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    assert inner.stat().st_mode & 0o777 == 0o604


def test_a_file_moved_aside_can_be_had_back(run, tmp_path):
    path = tmp_path / "my docker.list"
    path.write_text("deb x")
    run(shell.move_aside(actions.MoveAside(str(path))))
    assert (tmp_path / "my docker.list.disabled-by-gpuhost").read_text() == "deb x"
    assert not path.exists()


OLD, NEW = '{"log-level": "info"}\n', '{\n    "live-restore": true\n}\n'
WORKING = {
    "systemctl": ":",
    "docker": "echo true",
    "dockerd": "echo --validate",
    "journalctl": "echo no space left",
}


def configure(run, tmp_path, effect="restart", live=True, text=NEW, old: str | None = OLD, **other):
    file = tmp_path / "etc" / "daemon.json"
    if old is not None:
        file.write_text(old)
        file.chmod(0o640)
    script = shell.configure_daemon(actions.ConfigureDaemon(text, effect, live))
    stdin = shell.stdin_of(text.encode()) if text else ""
    done = run(script, stdin, **{**WORKING, **other})
    calls = tmp_path / "calls"
    told = calls.read_text().splitlines() if calls.exists() else []
    left = {one.name for one in file.parent.iterdir()} - {"daemon.json"}
    now = file.read_text() if file.exists() else None
    return done, now, [line for line in told if not line.startswith("dockerd")], left


def test_a_restart_is_preceded_by_a_reload_and_a_look(run, tmp_path):
    done, now, calls, left = configure(run, tmp_path)
    assert (done.returncode, done.stderr, now, left) == (0, "", NEW, set())
    assert calls == [
        "systemctl is-active --quiet docker",
        "systemctl reload docker",
        "docker info --format {{.LiveRestoreEnabled}}",
        "systemctl reset-failed docker.service",
        "systemctl restart docker",
        "docker info",
    ]
    assert (tmp_path / "etc" / "daemon.json").stat().st_mode & 0o777 == 0o640


def test_a_reload_is_all_where_it_is_enough(run, tmp_path):
    _, now, calls, _ = configure(run, tmp_path, "reload", text='{"debug": true}\n')
    assert now == '{"debug": true}\n'
    assert calls == ["systemctl is-active --quiet docker", "systemctl reload docker"]


def test_nothing_is_asked_of_the_engine_where_nothing_is_needed(run, tmp_path):
    _, now, calls, left = configure(run, tmp_path, "nothing")
    assert (now, calls, left) == (NEW, [], set())


def test_a_restart_alone_leaves_the_file(run, tmp_path):
    done, now, calls, _ = configure(run, tmp_path, text=None)
    assert (done.returncode, now) == (0, OLD)
    assert "systemctl restart docker" in calls


def test_what_dockerd_refuses_is_not_written(run, tmp_path):
    refusing = 'case $1 in --help) echo --validate ;; *) echo "unknown key: x" >&2; exit 1 ;; esac'
    done, now, calls, left = configure(run, tmp_path, dockerd=refusing)
    assert (done.returncode, done.stderr) == (1, "unknown key: x\n")
    assert (now, calls, left) == (OLD, [], set())


def test_an_engine_that_does_not_come_back_gets_its_file_back(run, tmp_path):
    flag = tmp_path / "failed"
    once = f'[ "$1" != restart ] || [ -e {flag} ] || {{ touch {flag}; exit 1; }}'
    done, now, calls, left = configure(run, tmp_path, systemctl=once)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "no space left",
        "docker did not come back; the former daemon.json is in place again",
    ]
    assert (now, left) == (OLD, set())
    assert calls.count("systemctl restart docker") == 2


def test_where_there_was_no_file_there_is_none_again(run, tmp_path):
    done, now, _, left = configure(
        run, tmp_path, old=None, live=False, systemctl='[ "$1" != restart ]'
    )
    assert (done.returncode, now, left) == (1, None, set())


def test_without_live_restore_confirmed_nothing_is_restarted(run, tmp_path):
    done, now, calls, left = configure(run, tmp_path, docker="echo false", sleep=":")
    assert done.stderr == (
        "docker did not switch live-restore on; the former daemon.json is in place again\n"
    )
    assert (done.returncode, now, left) == (1, OLD, set())
    assert "systemctl restart docker" not in calls


def test_a_reload_that_fails_gives_the_file_back(run, tmp_path):
    done, now, _, _ = configure(run, tmp_path, "reload", systemctl='[ "$1" != reload ]')
    assert done.stderr == "docker could not be reloaded; the former daemon.json is in place again\n"
    assert (done.returncode, now) == (1, OLD)


def test_a_stopped_engine_is_started_with_its_new_file(run, tmp_path):
    done, now, calls, _ = configure(run, tmp_path, systemctl='[ "$1" != is-active ]')
    assert (done.returncode, now) == (0, NEW)
    assert "systemctl reload docker" not in calls
    assert "systemctl restart docker" in calls


def prove(run, tmp_path, **programs):
    record = tmp_path / "lib" / "gpu-proof"
    text = shell.prove_gpus(PROOF, str(record))
    done = run(text, **{"nvidia-smi": "echo GPU 0: A", "docker": "echo GPU 0: A", **programs})
    return done, record.read_text() if record.exists() else None


def test_equal_gpus_are_remembered(run, tmp_path):
    done, record = prove(run, tmp_path)
    assert (done.returncode, record) == (0, "driver=1\n")
    assert (tmp_path / "calls").read_text().splitlines()[1] == (
        "docker run --rm --pull never --network none --device nvidia.com/gpu=all debian@sha256:1"
        " nvidia-smi -L"
    )


def test_other_gpus_are_shown_side_by_side(run, tmp_path):
    done, record = prove(run, tmp_path, docker="echo could not select device driver >&2; exit 125")
    assert (done.returncode, record) == (1, None)
    assert done.stderr.splitlines() == [
        "a container sees other GPUs than the host",
        "host:", "GPU 0: A", "container:", "could not select device driver",
    ]  # fmt: skip


def test_a_host_whose_own_tool_fails_proves_nothing(run, tmp_path):
    done, record = prove(run, tmp_path, **{"nvidia-smi": "echo Unknown Error; exit 255"})
    assert (done.returncode, record) == (1, None)
    assert "Unknown Error" in done.stderr
