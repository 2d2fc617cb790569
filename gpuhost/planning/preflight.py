"""Refuse early, in words: hosts that no stage can serve."""

from gpuhost.plan import Lines, Refusal, Stage
from gpuhost.planning.view import View

ARCHITECTURES = ("x86_64", "aarch64")
CLOCK_TOLERANCE = 300
"""Seconds; beyond it signatures and certificates look expired or not yet valid."""


def lines(view: View) -> Lines:
    """Refusals for what a host is."""
    if view.state.busy_units:
        yield _refuse(
            "host",
            f"an earlier run is still at work ({', '.join(view.state.busy_units)})",
            "wait for it, or run deploy.py, which sees it through",
        )
        return
    yield from _system(view)
    yield from _gpus(view)
    yield from _engine(view)


def _refuse(subject: str, found: str, remedy: str) -> Refusal:
    return Refusal(Stage.PREFLIGHT, subject, found, remedy)


def _system(view: View) -> Lines:
    system = view.state.system
    if not system.family:
        yield _refuse(
            "system",
            f"{system.name} is not supported",
            "use Debian, Ubuntu, Fedora, RHEL, openSUSE or one of their relatives",
        )
    if system.arch not in ARCHITECTURES:
        yield _refuse("system", f"architecture {system.arch}", "use x86_64 or aarch64")
    if system.init != "systemd":
        yield _refuse("system", f"init is {system.init}", "boot this host with systemd")
    if abs(system.clock_offset) > CLOCK_TOLERANCE:
        way = "ahead of" if system.clock_offset > 0 else "behind"
        yield _refuse(
            "clock",
            f"{abs(system.clock_offset):.0f} seconds {way} this machine",
            "set it: timedatectl set-ntp true",
        )


def _gpus(view: View) -> Lines:
    gpus = view.state.gpus
    remedies = {
        "absent": "put an NVIDIA GPU in, or take this host out of the inventory",
        "wsl": "install the NVIDIA driver in Windows and use Docker Desktop's GPU support",
        "jetson": "use NVIDIA's L4T containers; this image is built for discrete GPUs",
        "vfio": "give a GPU back to the host, or take this host out of the inventory",
        "mismatch": "the driver was upgraded under the running one: reboot this host",
        "outdated": "this driver is too old to say what it drives: install 525 or newer",
        "no-devices": "the driver finds no GPU it can serve: read dmesg for NVRM lines",
        "lost": "a GPU fell off the bus: reboot this host, and check its power and seating",
        "hung": "the GPU or its driver is wedged: reboot this host",
        "blocked": "the operating system keeps nvidia-smi from the GPU: read dmesg",
        "broken": "make nvidia-smi work on this host first",
        "unreadable": "make nvidia-smi answer in its usual form",
    }
    if gpus.problem in remedies:
        yield _refuse("gpu", gpus.detail or gpus.problem, remedies[gpus.problem])


def _engine(view: View) -> Lines:
    engine = view.state.engine
    remedies = {
        "snap": "its confinement hides the GPU: sudo snap remove docker",
        "desktop": "Docker Desktop ignores daemon.json: use Docker Engine",
        "rootless": "GPUs need the system's engine: run dockerd as a system service",
        "podman-docker": "this is Podman under Docker's name: apt-get remove podman-docker",
    }
    if engine.provider in remedies:
        yield _refuse("engine", f"found {engine.provider}", remedies[engine.provider])
