"""A host for the switch: an engine in memory, files in a folder, a clock that does not wait."""

from __future__ import annotations

import base64
import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from gpuhost.hostside import (
    accepting,
    checking,
    docker,
    files,
    gating,
    inside,
    journal,
    memory,
    pulling,
)
from gpuhost.hostside import switch as switching
from gpuhost.hostside.inside import Answer
from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Records, StoredFile, StoredRelease
from tests.hostside.engine import Box, Engine, Image

DRIVER = "580.126.09"
LIVE = "gpuhost-webui"
GATES = {"answers": 60, "gpu": 60, "picture": 60}


@dataclass(frozen=True)
class Moment:
    """All that lasts of a host when its program is killed."""

    before: str
    """What would have been done next."""
    files: dict[str, bytes]
    engine: tuple[Any, ...]
    now: float
    busy: int


class World:
    """One host with one instance, and the switch that works on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.places = Places("webui", folder / "instances")
        self.records = Records(self.places)
        self.engine = Engine(folder, self.touch, self.started)
        self.registry: dict[str, Image] = {}
        self.pull_error = ""
        self.free = 10**12
        self.driver = DRIVER
        self.listing = "GPU 0: card"
        self.busy = 0
        """How many times from now on somebody's picture is found being made."""
        self.hiccups = 0
        """How often from now on the gates cannot be run in a container."""
        self.now = 1000.0
        self.moments: list[Moment] | None = None
        """Every moment at which something is about to change, if wanted."""
        self.stored: dict[str, StoredRelease] = {}
        self.pulled: list[str] = []
        self.strict = True
        """Whether a WebUI chokes on the settings of a newer one."""

    def touch(self, what: str) -> None:
        """Called before every change that lasts."""
        if self.moments is not None:
            self.moments.append(self.moment(what))

    def moment(self, before: str = "") -> Moment:
        """The host as it is now."""
        engine = copy.deepcopy(self.engine.lasting)
        return Moment(before, contents(self.folder), engine, self.now, self.busy)

    def go_back(self, moment: Moment) -> None:
        """Be as at an earlier moment."""
        self.engine.lasting = copy.deepcopy(moment.engine)
        self.now, self.busy, self.moments = moment.now, moment.busy, None
        found = contents(self.folder)
        for name in set(found) - set(moment.files):
            (self.folder / name).unlink()
        for name, content in moment.files.items():
            if found.get(name) != content:
                (self.folder / name).write_bytes(content)

    def release(self, letter: str, flaw: str = "", **changes: Any) -> StoredRelease:
        """A release by a letter, whose image lies in the registry."""
        name, digest = letter * 12, f"sha256:{letter * 64}"
        image, path = f"registry.example/app@{digest}", self.folder / "etc" / "compose.yaml"
        labels = {"org.gpuhost.instance": "webui", "org.gpuhost.release": name}
        service = {"image": image, "container_name": LIVE, "labels": labels, "ports": ["7860"]}
        text = json.dumps({"services": {"webui": service}})
        file = StoredFile(str(path), base64.b64encode(text.encode()).decode(), 0o600)
        self.registry[image] = Image(f"sha256:{letter}{'0' * 63}", {image}, flaw=flaw)
        fields: dict[str, Any] = {
            "id": name, "instance": "webui", "container": LIVE, "image": image,
            "reference": "registry.example/app:v1", "compose": str(path), "files": (file,),
            "gpu_flags": ("--gpus", "all"), "gates": GATES, "published": ("127.0.0.1", 7860),
            "storage": str(self.storage), "stop_timeout": 30, "bake": 10, "slowdown": 0.0,
            "size": 1000,
        }  # fmt: skip
        found = StoredRelease(**{**fields, **changes})
        self.stored[name] = found
        return found

    def order(self, release: StoredRelease, known: bool = False, **request: Any) -> Journal:
        """Take an order."""
        self.now += 1
        document: dict[str, Any] = {"request": {"release": release.id, "driver": DRIVER, **request}}
        if not known:
            document["release"] = release.to_json()
        return accepting.accept(self.places, document)

    def switch(self) -> int:
        """The program, as its unit runs it."""
        return switching.Switch(self.places).run()

    def go(self, release: StoredRelease, known: bool = False, **request: Any) -> Journal:
        """A whole switch, undisturbed."""
        self.order(release, known, **request)
        code = self.switch()
        assert code == journal.EXIT_CODES[self.journal.state]
        return self.journal

    @property
    def journal(self) -> Journal:
        """The journal as it lies on the disk."""
        found = Journal.from_json(files.read_json(self.places.journal, None))
        assert found
        return found

    @property
    def running(self) -> list[Box]:
        """Containers that run."""
        return [box for box in self.engine.boxes if box.status == "running"]

    @property
    def live(self) -> Box:
        """The one container that serves."""
        (box,) = self.running
        assert box.name == LIVE
        return box

    @property
    def names(self) -> dict[str, str]:
        """Release by container name."""
        return {box.name: box.release[:1] for box in self.engine.boxes}

    @property
    def proven(self) -> str:
        """Letters of the proven releases, newest first."""
        return "".join(one.release[0] for one in self.records.proven())

    @property
    def quarantined(self) -> dict[str, str]:
        """The gate that failed, by letter of the release."""
        return {one.release[0]: one.gate for one in self.records.quarantined()}

    def started(self, box: Box) -> None:
        """A WebUI that starts makes the settings its own, and chokes on those of a newer one."""
        path = self.storage / "stable-diffusion-webui" / "config.json"
        if path.exists():
            found = json.loads(path.read_text())
            if self.strict and found["by"] > box.release[0]:
                box.health = "confused"
            else:
                path.write_text(json.dumps({**found, "by": box.release[0]}))

    def ask(
        self, name: str, gates: dict[str, int], hear: Callable[[dict[str, Any]], None], _: float
    ) -> Answer:
        """Stand in for `inside.ask`."""
        box = self.engine.box(name)
        if box is None or box.status != "running":
            return Answer(said=f"container {name} is not running")
        if "idle" in gates:
            return self._idle(gates["idle"], hear)
        if self.hiccups:
            self.hiccups -= 1
            return Answer(said="error during connect")
        for gate in gates:
            hear({"gate": gate, "state": "waiting"})
            self.sleep(1)
            failed = gate == box.image.flaw or (gate == "answers" and box.health == "confused")
            if failed:
                return Answer(failed=gate, reason=f"{gate} is\nno good")
            hear({"gate": gate, "state": "passed"})
        box.proven_for = 0
        slow = 3.0 if box.image.flaw == "slow" else 1.0
        figures = {"seconds_per_picture": slow} if "benchmark" in gates else {}
        hear({"proven": True, "figures": figures})
        return Answer(passed=True, figures=figures)

    def _idle(self, seconds: int, hear: Callable[[dict[str, Any]], None]) -> Answer:
        waited = 0
        while self.busy:
            if waited >= seconds:
                return Answer(failed="idle", reason="busy: a job, 12 % done")
            hear({"gate": "idle", "state": "waiting", "busy": "a job"})
            self.busy, waited = self.busy - 1, waited + 2
            self.sleep(2)
        return Answer(passed=True)

    def smi(self, *words: str) -> CompletedProcess[str]:
        """Stand in for `nvidia-smi`."""
        if words[0] == "-L":
            return CompletedProcess(words, 0 if self.listing else 9, self.listing, "no devices")
        if words[0].startswith("--query-gpu"):
            return CompletedProcess(words, 0, f"{self.driver}\n", "")
        pids = "\n".join(map(str, self.engine.compute_processes()))
        return CompletedProcess(words, 0, pids, "")

    def events(self, release: StoredRelease, _: Any) -> Iterator[dict[str, Any]]:
        """Stand in for the engine's pull."""
        yield {"status": "Downloading", "id": "a", "progressDetail": {"current": 500}}
        if self.pull_error:
            yield {"error": self.pull_error}
            return
        self.touch("pulled")
        self.pulled.append(release.id)
        self.engine.images.append(self.registry[release.image])
        yield {"status": "Download complete", "id": "a"}

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.engine.pass_time(seconds)


def inhabit(monkeypatch: pytest.MonkeyPatch, current: Callable[[], World]) -> None:
    """Let the host-side program live in whatever world is the current one."""
    clock = SimpleNamespace(
        monotonic=lambda: current().now,
        sleep=lambda seconds: current().sleep(seconds),
        strftime=time.strftime,
        gmtime=lambda: time.gmtime(current().now),
    )
    for module in (accepting, docker, gating, journal, memory, pulling, switching):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(docker, "docker", lambda *words, **_: current().engine.run(words))
    monkeypatch.setattr(docker, "inspect", lambda kind, name: current().engine.inspect(kind, name))
    monkeypatch.setattr(docker, "alive", lambda *_: True)
    monkeypatch.setattr(inside, "ask", lambda *words: current().ask(*words))
    monkeypatch.setattr(checking, "_smi", lambda *words: current().smi(*words))
    monkeypatch.setattr(gating, "answers", lambda *_: current().engine.answers())
    monkeypatch.setattr(pulling, "_events", lambda *words: current().events(*words))
    monkeypatch.setattr(journal, "uptime", lambda: current().now)
    monkeypatch.setattr(
        os, "statvfs", lambda _: SimpleNamespace(f_bavail=current().free, f_frsize=1)
    )
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for name in ("sync_folder", "settle"):
        monkeypatch.setattr(files, name, lambda *_: None, raising=False)
    for name, real in (("replace", _replace), ("rename", os.rename), ("unlink", os.unlink)):
        monkeypatch.setattr(os, name, _touching(name, real, current))
    monkeypatch.setattr(files, "settle", lambda *_: None)
    monkeypatch.setattr(files, "append", _touching("append", files.append, current))


def _touching(
    name: str, real: Callable[..., Any], current: Callable[[], World]
) -> Callable[..., Any]:
    def call(*words: Any, **options: Any) -> Any:
        path = words[0] if name == "append" else words[-1]
        current().touch(f"{name} {os.path.basename(str(path))}")
        return real(*words, **options)

    return call


def _replace(old: Path, new: Path, unlink: Any = os.unlink, rename: Any = os.rename) -> None:
    """Without the target, so that file systems do not sync behind our back."""
    if os.path.lexists(new):
        unlink(new)
    rename(old, new)


def furnish(world: World) -> None:
    """What a WebUI's storage holds: settings, a model, a picture, an extension."""
    webui = world.storage / "stable-diffusion-webui"
    for path, content in {
        "config.json": '{"sampler": "Euler", "by": "a"}',
        "ui-config.json": '{"txt2img/Width/value": 768}',
        "models/model.safetensors": "weights",
        "outputs/picture.png": "\x89PNG",
        "extensions/lovely/.git/HEAD": "ref: refs/heads/main",
        "extensions/lovely/.git/refs/heads/main": "1" * 40,
    }.items():
        (webui / path).parent.mkdir(parents=True, exist_ok=True)
        (webui / path).write_text(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    found, start = {}, len(str(folder)) + 1
    for inner, _, names in os.walk(folder):
        for name in names:
            path = f"{inner}/{name}"
            with open(path, "rb", buffering=0) as file:
                found[path[start:]] = file.read()
    return found
