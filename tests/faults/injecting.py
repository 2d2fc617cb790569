"""The faults: what is done to a run, a host or its containers once a state is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.running import Background
from tests.faults.snapshot import UNIT
from tests.faults.stand import Stand
from tests.faults.watching import Missed, still
from tests.lab.clock import fake_clock, jump_clock
from tests.lab.engine import connect
from tests.lab.faults import cut_ssh, kill_unit, restart_engine
from tests.lab.host import LabHost

CUT = 6
"""Seconds."""
DAY = 86_400
PREVIOUS = "gpuhost-webui-previous"


@dataclass
class Scene:
    """What a fault finds: the host, the run under way, how to begin another one."""

    stand: Stand
    state: str
    run: Background
    again: Callable[[Path, int], Background]
    folder: Path
    complaints: list[str] = field(default_factory=list)
    others: list[Background] = field(default_factory=list)

    @property
    def host(self) -> LabHost:
        """The host."""
        return self.stand.host

    def other(self, wait: int = 0) -> Background:
        """A second run, begun now."""
        found = self.again(self.folder / f"other-{len(self.others)}.log", wait)
        self.others.append(found)
        return found

    def check(self, true: object, text: str) -> None:
        """Complain unless something is so."""
        if not true:
            self.complaints.append(text)


def inject(scene: Scene, fault: str) -> None:
    """
    Let a fault happen now.

    :raises Missed: when the state was over before it could
    """
    still(scene.host, scene.state)
    INJECTIONS[fault](scene)


def _kill_run(scene: Scene) -> None:
    if scene.run.over:
        raise Missed("the run had ended before it could be killed")
    scene.run.kill()
    still(scene.host, scene.state)


def _cut_ssh(scene: Scene) -> None:
    cut_ssh(scene.host, CUT)
    still(scene.host, scene.state)


def _restart_engine(scene: Scene) -> None:
    before = _main_pid(scene.host, "docker")
    restart_engine(scene.host)
    scene.check(_main_pid(scene.host, "docker") != before, "the engine was not restarted")


def _kill_switch(scene: Scene) -> None:
    kill_unit(scene.host, UNIT)


def _reboot(scene: Scene) -> None:
    before = _begun(scene.host)
    scene.host.reboot()
    scene.check(_begun(scene.host) != before, "the host was not rebooted")


def _run_again(scene: Scene) -> None:
    other = scene.other()
    rc = other.end()
    scene.check(rc == 1, f"a second run ended with {rc}, should be refused")
    for words in (f"{scene.host.name} is held by the run of", "gpuhost.tasks.update, since"):
        scene.check(words in other.said, f"the refusal does not say {words!r}: {other.said[-800:]}")


def _run_again_and_wait(scene: Scene) -> None:
    scene.other(wait=120)


def _clock(seconds: int) -> Callable[[Scene], None]:
    def jump(scene: Scene) -> None:
        jump_clock(scene.host, seconds)
        still(scene.host, scene.state)

    return jump


def _order(line: str) -> Callable[[Scene], None]:
    """What a person does by hand; the state must outlast it."""

    def act(scene: Scene) -> None:
        said = scene.host.run(line, check=True).out
        still(scene.host, scene.state)
        gone = not scene.host.run(f"docker container inspect {PREVIOUS} >/dev/null 2>&1").rc
        if "container" in line or "rm -f" in line:
            scene.check(not gone, f"{PREVIOUS} is still there after {line!r}: {said}")

    return act


def _begun(host: LabHost) -> str:
    return str(connect().containers.get(host.container).attrs["State"]["StartedAt"])


def _main_pid(host: LabHost, unit: str) -> str:
    return host.run(f"systemctl show -p MainPID --value {unit}", check=True).out.strip()


INJECTIONS: Mapping[str, Callable[[Scene], None]] = {
    "kill the run": _kill_run,
    "cut SSH": _cut_ssh,
    "restart the engine": _restart_engine,
    "kill the switch": _kill_switch,
    "reboot": _reboot,
    "run again": _run_again,
    "run again and wait": _run_again_and_wait,
    "clock a day ahead": _clock(DAY),
    "clock a day back": _clock(-DAY),
    "remove the old one": _order(f"docker rm -f {PREVIOUS}"),
    "prune containers": _order("docker container prune -f"),
    "prune images": _order("docker image prune -f"),
    "prune containers and images": _order("docker container prune -f; docker image prune -f"),
}
INTERRUPTS = frozenset({"kill the switch", "reboot"})
"""Faults after which the switch must have been taken up again."""


@contextmanager
def clock_of_its_own(stand: Stand, fault: str) -> Iterator[None]:
    """Let the switch have a clock that can jump, where the fault is one."""
    if not fault.startswith("clock"):
        yield
        return
    fake_clock(stand.host, "gpuhost-switch@")
    jump_clock(stand.host, 0)
    try:
        yield
    finally:
        folder = "/etc/systemd/system/gpuhost-switch@.service.d"
        stand.host.run(f"rm -rf {folder} && systemctl daemon-reload", check=True)
