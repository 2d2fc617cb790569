"""One host of the lab, seen from the engine: run as root, write files, switch its GPUs."""

from __future__ import annotations

import io
import secrets
import shlex
import socket
import tarfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from docker.errors import NotFound

from tests.lab import gpus as cards
from tests.lab import record
from tests.lab.engine import connect
from tests.lab.places import STANDINS

LAB = "/var/lib/gpuhost-lab"
BOOT_TIMEOUT = 60.0


class HostError(Exception):
    """A host of the lab did not do what it was told."""


@dataclass(frozen=True)
class Completed:
    """What a command left: exit status and both streams."""

    rc: int
    out: str
    err: str


@dataclass(frozen=True)
class LabHost:
    """A host as `lab.json` names it."""

    name: str
    address: str
    user: str
    os: str

    @property
    def number(self) -> int:
        """2 for lab-2."""
        return int(self.name.rpartition("-")[2])

    @property
    def container(self) -> str:
        """The container's name on the outer engine."""
        return self.name

    @property
    def volume(self) -> str:
        """The volume that holds the host's /var/lib/docker."""
        return f"gpuhost-lab-{self.name}-docker"

    def to_json(self) -> dict[str, str]:
        """The host's entry in lab.json; the host must be up."""
        return {**asdict(self), "container": self.container, "key": self.host_key()}

    def run(self, command: str, check: bool = False) -> Completed:
        """Run a shell command as root through the engine, not over SSH."""
        api = connect().api
        order = ["/bin/sh", "-c", command]
        try:
            execution = api.exec_create(self.container, order)["Id"]
        except NotFound as error:
            raise HostError(f"{self.name}: no such host: run python -m tests.lab up") from error
        out, err = _streams(_started(api, execution))
        rc = api.exec_inspect(execution)["ExitCode"]
        done = Completed(rc, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        if check and done.rc:
            raise HostError(f"{self.name}: {command!r}: rc {done.rc}: {done.err.strip()!r}")
        return done

    def write(
        self, path: str, content: bytes | str, mode: int = 0o644, owner: str = "root"
    ) -> None:
        """Put a file anywhere on the host, folders included; `owner` is a name or a uid."""
        source, target = f"{LAB}/incoming/{secrets.token_hex(6)}", shlex.quote(path)
        self.put({source: (content, mode)})
        who = shlex.quote(owner)
        group = f"$(id -g {who} 2> /dev/null || echo {who})"
        folder = shlex.quote(str(PurePosixPath(path).parent))
        own = f"mkdir -p {folder} && chown {who}:{group} {source}"
        self.run(f"{own} && mv -fT {source} {target}", check=True)

    def put(self, files: Mapping[str, tuple[bytes | str, int]]) -> None:
        """Put files straight into the container's file system, even before it starts."""
        container = connect().containers.get(self.container)
        container.put_archive("/", pack(files))

    def set_gpus(
        self,
        gpus: Sequence[cards.Gpu],
        driver: str | bool | None = True,
        loaded: str | None = None,
        mode: str = "ok",
        module: str = "",
    ) -> None:
        """Change cards and driver at once: `driver` True is the lab's usual version, a string
        another one, False or None no driver; `module` e.g. 'nouveau' holds the cards instead.
        """
        self.put(hardware_files(self.number, gpus, driver, loaded, mode, module))
        if not driver:
            self.run("rm -f /usr/bin/nvidia-smi", check=True)
        self.run(f"sh {LAB}/hardware", check=True)

    def set_mode(self, mode: str, delay: float = 3.0) -> None:
        """Switch how the GPUs fail, or back with 'ok'; `slow` is ok, `delay` seconds a call."""
        if mode not in cards.MODES:
            known = ", ".join(cards.MODES)
            raise HostError(f"{self.name}: mode: unknown, got {mode!r}, write one of {known}")
        script = f"s/^mode=.*/mode={mode}\\ndelay={delay:g}/; /^delay=/d"
        change = f"sed -i '{script}' {LAB}/gpus.table"
        self.run(f"{change} && sh {LAB}/hardware", check=True)

    def set_compute_apps(
        self, apps: Sequence[tuple[int, str, int]], gpu: int = 0, linger: int | None = None
    ) -> None:
        """Say which processes hold memory of a GPU: pid, name and MiB of each.

        With `linger`, a process of the host holds it while it lives and so many seconds longer,
        counted from the first nvidia-smi that finds it dead.
        """
        uuid = self.run("nvidia-smi -L", check=True).out.splitlines()[gpu].split()[-1].rstrip(")")
        end = "" if linger is None else f"|{linger}"
        rows = "".join(f"{pid}|{name}|{uuid}|{mib}{end}\n" for pid, name, mib in apps)
        self.run(f"rm -f {LAB}/compute-apps*", check=True)
        self.put({f"{LAB}/compute-apps": (rows, 0o644)})

    def hold_gpu_memory(self, container: str, mib: int = 3700, linger: int = 0) -> list[int]:
        """Let a running container's Python hold GPU memory, `linger` seconds beyond its end;
        the pids on the host.
        """
        listing = self.run(f"docker top {shlex.quote(container)} -eo pid,comm", check=True).out
        rows = [line.split() for line in listing.splitlines()[1:]]
        pids = [int(pid) for pid, name in rows if name.startswith("python")]
        self.set_compute_apps([(pid, "python3", mib) for pid in pids], linger=linger)
        return pids

    def reboot(self) -> None:
        """Restart the host and wait until it can be logged in to."""
        connect().containers.get(self.container).restart(timeout=20)
        self.settle()

    def destroy(self) -> None:
        """Remove the host with everything its engine held."""
        client = connect()
        record.forget(self.name)
        with suppress(NotFound):
            client.containers.get(self.container).remove(force=True, v=True)
        with suppress(NotFound):
            client.volumes.get(self.volume).remove(force=True)

    def settle(self) -> None:
        """Wait until systemd has booted and sshd answers on the published address."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        state = ""
        while time.monotonic() < deadline:
            state = self.run("timeout 30 systemctl is-system-running --wait").out.strip()
            if state in ("running", "degraded") and _greets(self.address):
                return
            time.sleep(0.1)
        raise HostError(f"{self.name}: did not boot in {BOOT_TIMEOUT:.0f} s: state {state!r}")

    def host_key(self) -> str:
        """The public part of the host's SSH key, read through the engine."""
        path = "/etc/ssh/ssh_host_ed25519_key.pub"
        return " ".join(self.run(f"cat {path}", check=True).out.split()[:2])


def hardware_files(
    number: int,
    gpus: Sequence[cards.Gpu],
    driver: str | bool | None,
    loaded: str | None = None,
    mode: str = "ok",
    module: str = "",
) -> dict[str, tuple[bytes | str, int]]:
    """The GPU table of a host and, with a driver, its nvidia-smi."""
    version = cards.DRIVER if driver is True else driver or None
    text = cards.table(number, gpus, version, loaded, mode, module)
    files: dict[str, tuple[bytes | str, int]] = {f"{LAB}/gpus.table": (text, 0o644)}
    if version:
        files["/usr/bin/nvidia-smi"] = ((STANDINS / "nvidia-smi").read_bytes(), 0o755)
    return files


def _started(api: Any, execution: str) -> bytes:
    """Start an execution; all that it says, in the engine's frames.

    Not with the client's own `exec_start`, which loses what comes in one packet with the head.
    """
    url = api._url("/exec/{0}/start", execution)
    answer = api._post_json(url, data={"Detach": False, "Tty": False}, stream=True, timeout=None)
    api._raise_for_status(answer)
    with answer:
        return bytes(answer.raw.read())


def _streams(data: bytes) -> tuple[bytes, bytes]:
    """Both streams out of frames: a byte for which it is, three of nothing, four for the size."""
    found = {1: b"", 2: b""}
    while data:
        kind, size = data[0], int.from_bytes(data[4:8], "big")
        found[kind] += data[8 : 8 + size]
        data = data[8 + size :]
    return found[1], found[2]


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def pack(files: Mapping[str, tuple[bytes | str, int]]) -> bytes:
    """A tar of these files (path: content and mode), for `put`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, (content, mode) in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(data), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
