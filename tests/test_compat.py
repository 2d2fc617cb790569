from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhost.compat import (
    MINIMUM_DRIVER,
    WHEELS,
    ImageNeeds,
    Version,
    newest_cuda_for,
    objections,
    runs,
    wheel_for,
)
from gpuhost.requirement import brands_of

HERE = Path(__file__).parent / "compat"
OBJECTIONS = yaml.safe_load((HERE / "objections.yaml").read_text())
CHOICES = yaml.safe_load((HERE / "wheels.yaml").read_text())

drivers = st.tuples(
    st.integers(390, 700), st.integers(0, 200), st.one_of(st.none(), st.integers(0, 30))
).map(lambda parts: ".".join(str(part) for part in parts if part is not None))
capabilities = st.tuples(st.integers(3, 13), st.integers(0, 9)).map(lambda cc: f"{cc[0]}.{cc[1]}")
cudas = st.sampled_from([*MINIMUM_DRIVER, "12.7", "13.8"])


@pytest.mark.parametrize("name", OBJECTIONS)
def test_objections(name):
    case = OBJECTIONS[name]
    needs = ImageNeeds.of(case.get("labels", {}), case.get("env", {}))
    assert [str(objection) for objection in objections(needs, *case["gpu"])] == case["says"]


def test_there_are_enough_cases():
    assert len(OBJECTIONS) >= 40


@pytest.mark.parametrize("name", CHOICES)
def test_wheel_for(name):
    case = CHOICES[name]
    choice = wheel_for(case["gpus"], case["driver"])
    channel = choice.wheel.channel if choice.wheel else None
    assert (channel, choice.reason) == (case["channel"], case["reason"])


def test_every_wheel_is_older_than_the_one_before():
    cudas = [Version.parse(wheel.cuda) for wheel in WHEELS]
    assert cudas == sorted(cudas, reverse=True)


def test_every_cuda_release_needs_a_newer_driver_than_the_one_before():
    natives = [row.native for row in MINIMUM_DRIVER.values()]
    assert natives == sorted(natives)


@pytest.mark.parametrize(("driver", "cuda"), [
    ("610.43.02", "13.3"), ("595.71.05", "13.2"), ("580.173.02", "13.0"), ("575.57.08", "12.9"),
    ("570.144", "12.8"), ("565.57.01", "12.6"), ("550.54.14", "12.4"), ("530.30.02", "12.1"),
    ("450.36", None), ("[N/A]", None),
])  # fmt: skip
def test_newest_cuda_for(driver, cuda):
    assert newest_cuda_for(driver) == cuda


@pytest.mark.parametrize(("capability", "arch_list", "answer"), [
    ("8.6", ["sm_80", "sm_86"], True), ("8.6", ["sm_89"], False), ("12.0", ["sm_100"], False),
    ("12.0", ["compute_90"], True), ("9.0", ["9.0a"], True), ("9.1", ["9.0a"], False),
    ("10.3", ["10.0f"], True), ("10.0", ["9.0a+PTX"], False), ("8.6", [], False),
])  # fmt: skip
def test_runs(capability, arch_list, answer):
    assert runs(capability, arch_list) is answer


@pytest.mark.parametrize("text", ["", "[N/A]", "12", "8.", ".9", "8.9 ", "8.99", "8,9"])
def test_a_bad_capability_is_named(text):
    with pytest.raises(ValueError, match=r"compute capability: should look like '8\.9', got"):
        runs(text, ["8.0"])


@pytest.mark.parametrize("text", ["", "[N/A]", "580.", ".5", "580.65-1", "ERR!", "٥٨٠"])
def test_a_bad_version_is_named(text):
    with pytest.raises(ValueError, match="version: should be numbers joined by dots, got"):
        Version.parse(text)
    assert Version.maybe(text) is None


@pytest.mark.parametrize(("name", "brand"), [
    ("NVIDIA GeForce RTX 3090", "geforce"), ("TITAN Xp", "titan"), ("Quadro RTX 4000", "quadro"),
    ("NVIDIA RTX A6000", "nvidiartx"), ("NVIDIA H100 80GB HBM3", "nvidia"), ("Tesla T4", "tesla"),
    ("NVIDIA A100-PCIE-40GB", "nvidia"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "nvidiartx"),
])  # fmt: skip
def test_brand_of_a_name(name, brand):
    assert brand in (brands_of(name) or ())


@pytest.mark.parametrize(
    "name", ["GRID A100-10C", "NVIDIA A40-8Q", "NVIDIA H100L-2-24C", "NVIDIA A100-4-20C", "", "X"]
)
def test_a_virtual_gpu_does_not_tell_its_brand(name):
    assert brands_of(name) is None


@settings(deadline=None)
@given(cuda=cudas, capability=capabilities, one=drivers, other=drivers, ptx=st.booleans())
def test_a_newer_driver_never_brings_a_new_objection(cuda, capability, one, other, ptx):
    older, newer = sorted((one, other), key=Version.parse)
    needs = ImageNeeds(cuda=cuda, arch_list=("5.0+PTX",) if ptx else ("5.0", "8.0"))
    before = {o.subject for o in objections(needs, older, capability, "GPU")}
    after = {o.subject for o in objections(needs, newer, capability, "GPU")}
    assert after <= before


@settings(deadline=None)
@given(capability=capabilities, arch=capabilities)
def test_ptx_runs_on_everything_at_or_above_it_and_nothing_below(capability, arch):
    at_or_above = [int(n) for n in capability.split(".")] >= [int(n) for n in arch.split(".")]
    assert runs(capability, [f"{arch}+PTX"]) is at_or_above


@settings(deadline=None)
@given(capability=capabilities, arch=capabilities)
def test_machine_code_stays_within_its_major(capability, arch):
    (major, minor), (code_major, code_minor) = (text.split(".") for text in (capability, arch))
    assert runs(capability, [arch]) is (major == code_major and minor >= code_minor)


@settings(deadline=None)
@given(capability=capabilities, archs=st.lists(capabilities), more=capabilities)
def test_more_code_never_serves_fewer_gpus(capability, archs, more):
    assert runs(capability, archs) <= runs(capability, [*archs, more])


@settings(deadline=None)
@given(labels=st.dictionaries(st.sampled_from(
    ["org.gpuhost.cuda", "org.gpuhost.arch-list", "org.gpuhost.minimum-driver"]), st.text()),
    env=st.dictionaries(st.sampled_from(["NVIDIA_REQUIRE_CUDA", "CUDA_VERSION"]), st.text()),
    driver=st.text(), capability=st.text(), name=st.text())  # fmt: skip
def test_nonsense_is_answered_and_never_raises(labels, env, driver, capability, name):
    objections(ImageNeeds.of(labels, env), driver, capability, name)
