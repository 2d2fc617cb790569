"""A host that exists only as a `HostState`: what actions do to one, without a machine."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import yaml

from gpuhost import actions
from gpuhost.hostside.places import Places
from gpuhost.plan import Stage
from gpuhost.planning import daemon, plan, proof, records, switch_program
from gpuhost.planning.image import familiar
from gpuhost.release import container_name
from gpuhost.state import (
    Container,
    Disk,
    Engine,
    File,
    Gpu,
    Gpus,
    HostState,
    PciGpu,
    System,
    Toolkit,
)

NOW = 1_800_000_000.0
DRIVER = "580.126.09"
PYTHON = "3.11.2"
GIB = 1024**3
CARD = Gpu(0, "GPU-00000000-0000-0000-0000-000000000000", "NVIDIA GeForce RTX 4090", DRIVER,
           "8.9", 24564, False)  # fmt: skip
SYSTEMS = {
    "debian12": ("debian", "12", "bookworm", "debian", "Debian GNU/Linux 12 (bookworm)"),
    "debian13": ("debian", "13", "trixie", "debian", "Debian GNU/Linux 13 (trixie)"),
    "ubuntu2404": ("ubuntu", "24.04", "noble", "debian", "Ubuntu 24.04.2 LTS"),
    "fedora42": ("fedora", "42", "", "rhel", "Fedora Linux 42"),
    "rocky9": ("rocky", "9.5", "", "rhel", "Rocky Linux 9.5"),
    "leap15": ("opensuse-leap", "15.6", "", "suse", "openSUSE Leap 15.6"),
    "alpine": ("alpine", "3.20", "", "", "Alpine Linux v3.20"),
}
VERSIONS = {"docker-ce": "5:28.5.2-1~x", "docker-ce-cli": "5:28.5.2-1~x", "docker.io": "26.1.5-9"}
PROVIDERS = {"docker-ce": ("docker-ce", "28.5.2"), "docker.io": ("docker.io", "26.1.5+dfsg1"),
             "moby-engine": ("moby", "28.5.2")}  # fmt: skip


def key(name: str) -> bytes:
    """An OpenPGP public key packet that nobody can sign with."""
    body = (
        b"\x04"
        + (1).to_bytes(4, "big")
        + b"\x01"
        + b"\x00\x08"
        + name.encode()[:1]
        + b"\x00\x02\x03"
    )
    return b"\x99" + len(body).to_bytes(2, "big") + body


def fingerprint(name: str) -> str:
    """Of `key(name)`, after RFC 4880 section 12.2."""
    return hashlib.sha1(key(name)).hexdigest().upper()


def bare(system: str) -> HostState:
    """A freshly installed host with one GPU and its driver."""
    name = System(*SYSTEMS[system], "x86_64", "6.12.0", "systemd", False, 0.0, PYTHON)
    gpus = Gpus((CARD,), (PciGpu("0000:01:00.0", "0x2684", "nvidia"),), listing=listing((CARD,)))
    disk = Disk("/", 500 * GIB, 900 * GIB)
    disks = dict.fromkeys(("/var/lib/docker", "/srv/gpuhost/webui"), disk)
    return HostState(name, gpus, Engine(), Toolkit(), disks=disks)


def listing(cards: tuple[Gpu, ...]) -> tuple[str, ...]:
    """What `nvidia-smi -L` prints for these cards."""
    return tuple(f"GPU {card.index}: {card.name} (UUID: {card.uuid})" for card in cards)


def settled(state: HostState, settings, lock, secrets) -> HostState:
    """The host after a whole run, stage by stage as `operations.converge` does it."""
    for stage in Stage:
        for step in plan(state, settings, lock, secrets).of(stage):
            for action in step.actions:
                state = done(state, action)
    return state


def written(path: str, content: bytes, mode: int = 0o644, owner: str = "0:0") -> File:
    """A file as the probe reports it."""
    return File(path, "file", hashlib.sha256(content).hexdigest(), mode, owner, content)


def done(state: HostState, action: actions.Action) -> HostState:
    """The host after one action."""
    match action:
        case actions.WriteFile(path, content, mode, owner):
            return _with_file(state, written(path, content, mode, owner))
        case actions.WriteKey(path, source, _):
            return _with_file(state, written(path, key(source)))
        case actions.MoveAside(path):
            return _moved(state, path)
        case actions.MakeDirectory(path, mode, owner):
            return _with_file(state, File(path, "directory", "", mode, owner))
        case actions.Packages():
            return _installed(state, action)
        case actions.EnableUnit("docker.service"):
            return replace(state, engine=_running(state))
        case actions.EnableUnit():
            return _with_file(
                state, File(switch_program.STARTER_ENABLED, "symlink", "", 0o644, "0:0")
            )
        case actions.RunUnit():
            return replace(state, toolkit=_described(state))
        case actions.ReloadUnits():
            return state
        case actions.ConfigureDaemon(text, effect):
            if text is not None:
                state = _with_file(state, written(daemon.PATH, text.encode()))
            return replace(state, engine=_running(state)) if effect == "restart" else state
        case actions.ProveGpus(_, _, record):
            return _with_file(state, written(proof.RECORD, f"{record}\n".encode()))
        case actions.PullImage(reference):
            return replace(state, images=state.images | {familiar(reference)})
        case actions.SwitchInstance(name, _, order):
            return _switched(state, name, json.loads(order)["release"])
        case actions.RemoveInstance(name):
            return replace(state, containers={
                key: one for key, one in state.containers.items()
                if one.labels.get("org.gpuhost.instance") != name
            })  # fmt: skip
        case actions.Reboot():
            return replace(state, gpus=Gpus((CARD,), state.gpus.pci, listing=listing((CARD,))))
    raise TypeError(action)


def _with_file(state: HostState, file: File) -> HostState:
    return replace(state, files={**state.files, file.path: file})


def _with_container(state: HostState, container: Container) -> HostState:
    return replace(state, containers={**state.containers, container.name: container})


def _moved(state: HostState, path: str) -> HostState:
    rest = {
        word: tuple(one for one in paths if one != path)
        for word, paths in state.foreign_sources.items()
    }
    return replace(state, foreign_sources=rest)


def _installed(state: HostState, action: actions.Packages) -> HostState:
    found = {name: one for name, one in state.packages.items() if name not in action.remove}
    for word in action.install:
        name, _, version = word.partition("=")
        version = version.replace("*", "1") or found.get(name) or VERSIONS.get(name, "1.0-1")
        found[name] = version
    engine, toolkit, gpus = state.engine, state.toolkit, state.gpus
    for package, (provider, number) in PROVIDERS.items():
        if package in found:
            number = next((w.split("5:")[1][:-2] for w in action.install if f"{package}=5:" in w),
                          engine.version if engine.provider == provider else number)  # fmt: skip
            engine = replace(engine, provider=provider, version=number, compose="2.40.0")
    if "nvidia-container-toolkit" in found:
        changed = max(engine.started, NOW) + 1
        toolkit = replace(_described(state), hooks_changed=changed)
    if action.label == "NVIDIA driver":
        gpus = replace(gpus, problem="not-loaded", detail="it is not loaded")
    system = replace(state.system, python=PYTHON) if "python3" in found else state.system
    return replace(state, system=system, packages=found, engine=engine, toolkit=toolkit, gpus=gpus)


def _described(state: HostState) -> Toolkit:
    devices = ("nvidia.com/gpu=0", "nvidia.com/gpu=all")
    return replace(state.toolkit, cdi_devices=devices, cdi_driver=state.gpus.driver)


def _running(state: HostState) -> Engine:
    began = max(state.toolkit.hooks_changed, NOW) + 1
    options = json.loads(state.file(daemon.PATH).content or b"{}")
    dirs = ("/etc/cdi", "/var/run/cdi") if options.get("features", {}).get("cdi") else ()
    return replace(state.engine, running=True, detail="", cdi_dirs=dirs, started=began)


def _switched(state: HostState, name: str, release: dict[str, Any]) -> HostState:
    """A switch that is committed: files, image, container and record."""
    for file in release["files"]:
        content, owner = base64.b64decode(file["content"]), f"{file['uid']}:{file['gid']}"
        state = _with_file(state, written(file["path"], content, file["mode"], owner))
    state = replace(state, images=state.images | {familiar(release["image"])})
    before = [one for one in _proven(state, name) if one["release"] != release["id"]]
    entry = {"release": release["id"], "image": release["image"], "at": "", "figures": {}}
    content = json.dumps([entry, *before]).encode()
    state = _with_file(state, written(str(Places(name).proven), content, 0o600))
    return _with_container(state, _started(state, name, release["compose"]))


def _proven(state: HostState, name: str) -> list[dict[str, Any]]:
    return [vars(one) for one in records.proven_releases(state, name)]


def _started(state: HostState, name: str, compose: str) -> Container:
    file = yaml.safe_load(state.file(compose).content or b"")
    service = file["services"]["webui"]
    (request,) = service["deploy"]["resources"]["reservations"]["devices"]
    ids = [one.partition("=")[2] or one for one in request.get("device_ids", ["all"])]
    indexes = {card.uuid: str(card.index) for card in state.gpus.cards}
    seen: list[str] = []
    parent = ""
    for line in state.gpus.listing:
        uuid = line.rpartition("UUID: ")[2].rstrip(")")
        parent = line if uuid in indexes else parent
        if {"all", uuid, indexes.get(uuid)} & set(ids):
            seen += dict.fromkeys((parent, line))
    what = service["image"], service["labels"]
    return Container(container_name(name), "running", "healthy", *what, 0, "", tuple(seen))
