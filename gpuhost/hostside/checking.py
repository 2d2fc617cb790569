"""Before anything is stopped: does the new release fit this host, and is the way back there?"""

from __future__ import annotations

import subprocess

from gpuhost.hostside import containers, docker
from gpuhost.hostside.records import StoredRelease
from gpuhost.hostside.request import Request

SMI_LIMIT = 60.0


class Unfit(Exception):
    """Why the switch does not begin; `images_fault` where another host would find the same."""

    def __init__(self, reason: str, images_fault: bool = False) -> None:
        super().__init__(reason)
        self.images_fault = images_fault


def check(new: StoredRelease, old: StoredRelease | None, request: Request) -> None:
    """:raises Unfit: with the first thing that is wrong"""
    if docker.inspect("image", new.image) is None:
        raise Unfit(f"the image {new.image} is not here any more")
    if old:
        secure(old)
    listing = gpus()
    _same_driver(request)
    if request.proof:
        _sees_gpus(new, old, listing)


def secure(old: StoredRelease) -> None:
    """Give the old release's image its keep tag.

    :raises Unfit: when it is not there to go back to
    """
    found = next((one for one in containers.of(old.instance) if one.release == old.id), None)
    for name in (old.image, old.keep_tag, found.image if found else ""):
        if name and (image := docker.inspect("image", name)):
            docker.docker("tag", image["Id"], old.keep_tag)
            return
    raise Unfit(f"the image of release {old.id} is gone, there would be no way back")


def gpus() -> list[str]:
    """The host's GPUs as it lists them itself.

    :raises Unfit: when it cannot
    """
    done = _smi("-L")
    if done.returncode:
        said = docker.last_line(done.stdout or done.stderr)
        raise Unfit(f"nvidia-smi -L fails on the host: {said or f'exit code {done.returncode}'}")
    return [line for line in done.stdout.splitlines() if line.strip()]


def compute_processes() -> set[int]:
    """Processes that hold GPU memory; empty where nvidia-smi does not say."""
    done = _smi("--query-compute-apps=pid", "--format=csv,noheader,nounits")
    words = done.stdout.split() if done.returncode == 0 else []
    return {int(word) for word in words if word.isdigit()}


def _same_driver(request: Request) -> None:
    done = _smi("--query-gpu=driver_version", "--format=csv,noheader")
    found = docker.last_line(done.stdout)
    if request.driver and found != request.driver:
        raise Unfit(
            f"the driver is {found} now and was {request.driver} when the image was found"
            " to fit it; run again"
        )


def _sees_gpus(new: StoredRelease, old: StoredRelease | None, listing: list[str]) -> None:
    name = f"{new.container}-proof"
    docker.docker("rm", "--force", name)
    words = ["run", "--rm", "--name", name, "--pull", "never", "--network", "none"]
    words += ["--env", "NVIDIA_DRIVER_CAPABILITIES=compute,utility", *new.gpu_flags]
    try:
        said = docker.docker(*words, "--entrypoint", "nvidia-smi", new.image, "-L", timeout=180)
    except docker.DockerError as error:
        raise Unfit(f"a container of the image cannot start: {error}", _others_can(old)) from None
    seen = [line for line in said.splitlines() if line.strip()]
    if not seen or not {uuid(line) for line in seen} <= {uuid(line) for line in listing}:
        raise Unfit(f"a container of the image sees other GPUs: {seen}", _others_can(old))


def uuid(line: str) -> str:
    """Of a line of `nvidia-smi -L`; a container numbers its GPUs anew."""
    return line.rpartition("UUID: ")[2].rstrip(")")


def _others_can(old: StoredRelease | None) -> bool:
    """Whether the release that runs now sees its GPUs: then the new image is to blame."""
    if old is None:
        return False
    try:
        docker.docker("exec", old.container, "nvidia-smi", "-L", timeout=SMI_LIMIT)
    except docker.DockerError:
        return False
    return True


def _smi(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nvidia-smi", *words], capture_output=True, text=True, timeout=SMI_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))
