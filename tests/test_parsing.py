import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuhost.parsing import UnreadableReport, host_state
from gpuhost.parsing.sections import REQUIRED, sections
from gpuhost.state import Disk

HERE = Path(__file__).parent / "facts"
REPORTS = {path.stem: path.read_text().splitlines() for path in (HERE / "reports").glob("*.txt")}
NOW = 1_795_384_700.0
BARE, SETTLED = REPORTS["bare-debian-13"], REPORTS["settled-debian-13"]


def table(name):
    return yaml.safe_load((HERE / f"{name}.yaml").read_text())


GPUS, ENGINES, SYSTEMS = table("gpus"), table("engines"), table("systems")


def changed(report=BARE, **parts):
    """A report with whole parts replaced: (rc, stdout, stderr), or None for a part that is not."""
    found = dict(sections(report))
    lines = []
    for name in {**found, **parts}:
        part = parts.get(name, found.get(name))
        if part is None:
            continue
        rc, out, err = part if isinstance(part, tuple) else (part.rc, part.out, part.err)
        lines += [f"@ {name} {rc}", *(f"| {line}" for line in out), *(f"! {line}" for line in err)]
    return lines


@pytest.mark.parametrize("name", GPUS)
def test_gpus(name):
    case = GPUS[name]
    rc, out = case.get("rc", 0), case.get("out", [])
    pci = [
        f"0000:0{i}:00.0 0x2684 {driver}" for i, driver in enumerate(case.get("pci", ["nvidia"]))
    ]
    state = host_state(
        changed(
            smi=None if rc is None else (rc, out, []),
            pci=(0, pci, []),
            special=(0, case.get("special", []), []),
        ),
        NOW,
    )
    found = [
        f"{card.name} {card.capability} {card.memory_mib}{' mig' if card.mig else ''}"
        for card in state.gpus.cards
    ]
    problem, detail = case.get("problem", ""), case.get("detail", "")
    assert (state.gpus.problem, state.gpus.detail) == (problem, detail)
    if not problem:
        assert found == case["cards"]


@pytest.mark.parametrize("name", ENGINES)
def test_engines(name):
    case = ENGINES[name]
    info = case.get("info")
    compose = case.get("compose", "2.40.0")
    plugins = [{"Name": "buildx"}, *([{"Name": "compose", "Version": compose}] if compose else [])]
    client = {"ClientInfo": {"Plugins": plugins}}
    said = json.dumps({**info["json"], **client}) if info and "json" in info else ""
    state = host_state(
        changed(
            engine=(0, case["engine"], []),
            packages=(0, case.get("packages", []), []),
            info=(info.get("rc", 0), [said] if said else [], [info["err"]] if "err" in info else [])
            if info
            else None,
        ),
        NOW,
    )
    for field, value in case["is"].items():
        wanted = tuple(value) if isinstance(value, list) else value
        assert getattr(state.engine, field) == wanted, field


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems(name):
    case = SYSTEMS[name]
    head = ["x86_64", "6.12.0", "systemd", f"{NOW + 2.5}", "-"]
    state = host_state(changed(system=(0, head + case["release"], [])), NOW)
    for field, value in case["is"].items():
        assert getattr(state.system, field) == value, field
    assert state.system.clock_offset == 2.5


def test_a_host_that_wants_a_reboot_says_so():
    head = ["aarch64", "6.12.0", "runit", "0", "reboot-required", "ID=debian"]
    system = host_state(changed(system=(0, head, [])), NOW).system
    assert (system.reboot_required, system.deb_arch, system.init) == (True, "arm64", "runit")


@pytest.mark.parametrize(
    ("line", "socket"),
    [
        ("0100007F:1EB4", ("127.0.0.1", 7860)),
        ("00000000:0016", ("0.0.0.0", 22)),
        ("0B4D007F:1EB4", ("127.0.77.11", 7860)),
        ("00000000000000000000000000000000:1EB4", ("::", 7860)),
        ("00000000000000000000000001000000:1EB4", ("::1", 7860)),
        ("B80D0120000000000000000001000000:01BB", ("2001:db8::1", 443)),
        ("0000000000000000FFFF00000100007F:1EB4", ("127.0.0.1", 7860)),
    ],
)
def test_ports(line, socket):
    assert host_state(changed(ports=(0, [line], [])), NOW).ports == {socket}


@pytest.mark.parametrize(
    ("lines", "python"),
    [(["smi", "Python 3.9.2"], "3.9.2"), (["Python 3.13.0rc1"], "3.13.0rc1"), (["smi"], "")],
)
def test_the_hosts_python(lines, python):
    assert host_state(changed(special=(0, lines, [])), NOW).system.python == python


def test_a_bare_host():
    state = host_state(BARE, NOW)
    assert (state.system.id, state.system.codename, state.system.init) == (
        "debian", "trixie", "systemd"
    )  # fmt: skip
    assert state.engine.provider == state.engine.version == ""
    assert [card.name for card in state.gpus.cards] == ["NVIDIA GeForce RTX 4090"]
    assert not state.packages
    assert not state.containers
    assert not state.images
    assert not state.toolkit.cdi_devices
    assert {path: file.kind for path, file in state.files.items()} == {}
    assert isinstance(state.disks["/var/lib/docker"], Disk)


def test_a_settled_host():
    state = host_state(SETTLED, NOW)
    assert state.system.python == "3.13.5"
    (card,) = state.gpus.cards
    assert (card.driver, card.capability, card.memory_mib) == ("580.126.09", "8.9", 24564)
    engine = state.engine
    assert (engine.provider, engine.version, engine.running) == ("docker.io", "26.1.5+dfsg1", True)
    assert engine.numbers == (26, 1)
    assert engine.cdi_dirs == ("/etc/cdi", "/var/run/cdi")
    assert engine.unit_command.startswith("ExecStart={ path=/usr/sbin/dockerd")
    assert state.packages["nvidia-container-toolkit"] == "1.20.0-1"
    assert state.toolkit.cdi_driver == "580.126.09"
    assert "nvidia.com/gpu=all" in state.toolkit.cdi_devices
    assert 0 < state.toolkit.hooks_changed < engine.started + 3600
    container = state.containers["gpuhost-webui"]
    assert (container.status, container.health) == ("running", "healthy")
    assert container.gpus_seen == state.gpus.listing
    assert any(image.startswith(container.image) for image in state.images)
    daemon = state.files["/etc/docker/daemon.json"]
    assert json.loads(daemon.content or b"")["features"] == {"cdi": True}
    assert (daemon.kind, daemon.mode, daemon.owner) == ("file", 0o644, "0:0")
    assert state.files["/srv/gpuhost/webui"].owner == "1000:1000"
    assert ("0.0.0.0", 22) in state.ports


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gpu-nodriver", "not-loaded"),
        ("gpu-nolib", "no-library"),
        ("gpu-mismatch", "mismatch"),
        ("gpu-nodevices", "no-devices"),
        ("gpu-unknown", "broken"),
        ("gpu-lost", "lost"),
        ("gpu-hang", "hung"),
        ("gpu-absent", "absent"),
        ("gpu-nouveau", "nouveau"),
        ("driver-removed", "no-driver"),
        ("gpus-mixed", ""),
        ("settled-debian-13", ""),
    ],
)
def test_recorded_gpus(name, problem):
    assert host_state(REPORTS[name], NOW).gpus.problem == problem


def test_a_recorded_host_with_several_cards():
    cards = host_state(REPORTS["gpus-mixed"], NOW).gpus.cards
    assert [(card.name, card.mig) for card in cards] == [
        ("NVIDIA A100-SXM4-40GB", True), ("Tesla T4", False), ("NVIDIA H200", False)
    ]  # fmt: skip


def test_a_recorded_host_whose_engine_is_stopped():
    engine = host_state(REPORTS["engine-stopped"], NOW).engine
    assert (engine.provider, engine.running, engine.started) == ("docker.io", False, 0)
    assert engine.detail.startswith("Cannot connect to the Docker daemon")


def test_a_recorded_host_whose_container_is_stopped():
    container = host_state(REPORTS["container-stopped"], NOW).containers["gpuhost-webui"]
    assert (container.status, container.exit_code, container.gpus_seen) == ("exited", 143, None)


def test_a_container_that_lost_its_gpu():
    lines = [line for line in sections(SETTLED)["containers"].out if line.startswith("{")]
    lines += ["gpu gpuhost-webui 255 Failed to initialize NVML: Unknown Error"]
    container = host_state(changed(SETTLED, containers=(0, lines, [])), NOW).containers
    found = container["gpuhost-webui"]
    assert (found.gpus_seen, found.gpu_error) == (None, "Failed to initialize NVML: Unknown Error")


def test_a_container_that_does_not_answer():
    lines = [line for line in sections(SETTLED)["containers"].out if line.startswith("{")]
    lines += ["gpu gpuhost-webui 124 "]
    found = host_state(changed(SETTLED, containers=(0, lines, [])), NOW)
    assert found.containers["gpuhost-webui"].gpus_seen is None


def test_linked_files_keep_their_kind_and_the_targets_owner():
    line = "symlink 755 1000:1000 /srv/gpuhost/webui"
    found = host_state(changed(files=(0, [line], [])), NOW).files["/srv/gpuhost/webui"]
    assert (found.kind, found.mode, found.owner) == ("symlink", 0o755, "1000:1000")


@pytest.mark.parametrize("part", sorted(REQUIRED))
def test_a_report_without_a_part_says_which(part):
    with pytest.raises(UnreadableReport, match=f"should hold {part}, got nothing"):
        host_state(changed(**{part: None}), NOW)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (["Welcome to Debian!", *BARE], "should start with '@', got 'Welcome to Debian!'"),
        (["@ system x"], "should hold an exit code, got '@ system x'"),
        ([], "should hold contents, "),
        (changed(system=(0, ["x86_64"], [])), "ValueError"),
        (changed(files=(0, ["file 644"], [])), "ValueError"),
        (changed(SETTLED, info=(0, ["{"], [])), "JSONDecodeError"),
        (changed(SETTLED, info=(0, ["[" * 100_000], [])), "RecursionError"),
        (changed(SETTLED, info=(0, ["[]"], [])), "AttributeError"),
    ],
)
def test_what_cannot_be_read_is_said(report, said):
    with pytest.raises(UnreadableReport, match=r"^the host's report: ") as caught:
        host_state(report, NOW)
    assert said in str(caught.value)


def reads_or_refuses(report):
    try:
        host_state(report, NOW)
    except UnreadableReport:
        return


def test_every_report_that_breaks_off_is_read_or_refused():
    for end in range(len(SETTLED)):
        reads_or_refuses(SETTLED[:end])
    half = [*SETTLED[:-1], SETTLED[-1][:1]]
    reads_or_refuses(half)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text() | st.from_regex(r"[@|!] .*", fullmatch=True)))
@example(["@"])
def test_arbitrary_lines_are_read_or_refused(lines):
    reads_or_refuses(lines)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SETTLED) - 1), st.text())
def test_any_damaged_line_is_read_or_refused(position, text):
    reads_or_refuses([*SETTLED[:position], f"| {text}", *SETTLED[position + 1 :]])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(sections(SETTLED))), st.integers(0, 255), st.lists(st.text()))
def test_any_damaged_part_is_read_or_refused(part, rc, lines):
    reads_or_refuses(changed(SETTLED, **{part: (rc, lines, [])}))
