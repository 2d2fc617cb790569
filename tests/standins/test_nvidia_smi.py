"""The nvidia-smi stand-in against texts, streams and exit codes of the real tool."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "lab/standins/nvidia-smi"
QUERY = "index,name,uuid,driver_version,compute_cap,memory.total,pci.bus_id,mig.mode.current"
NOT_LOADED = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n\n"
)
NO_LIBRARY = (
    "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the "
    "NVIDIA Display Driver is properly installed and present in your system.\n"
    "Please also try adding directory that contains libnvidia-ml.so to your system PATH.\n"
)
GPUS = (
    "0|GPU-0000|NVIDIA GeForce RTX 4090|8.9|24564|00000000:01:00.0|0x268410DE|[N/A]",
    "1|GPU-1111|NVIDIA H200|9.0|143771|00000000:0A:00.0|0x233510DE|Disabled",
    "2|GPU-2222|NVIDIA GB10|12.1|[N/A]|0000000F:01:00.0|0x2E1210DE|[N/A]",
)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(mode: str = "ok", gpus: int = 3, **keys: str) -> Path:
        values = {"driver": "580.126.09", "loaded": "580.126.09", "cuda": "13.0", **keys}
        lines = [f"mode={mode}", *(f"{key}={value}" for key, value in values.items())]
        path = tmp_path / "gpus.table"
        path.write_text("\n".join([*lines, *(f"gpu={gpu}" for gpu in GPUS[:gpus])]) + "\n")
        return path

    return write


def smi(
    table: Path, *arguments: str, timeout: float = 10, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={"PATH": "/usr/bin:/bin", "GPUHOST_LAB_TABLE": str(table), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_lists_gpus(table):
    done = smi(table(gpus=2), "-L")
    assert done.stdout == (
        "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-0000)\nGPU 1: NVIDIA H200 (UUID: GPU-1111)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_csv_has_units_in_header_and_cells(table):
    done = smi(table(gpus=2), f"--query-gpu={QUERY}", "--format=csv")
    assert done.stdout.splitlines() == [
        "index, name, uuid, driver_version, compute_cap, memory.total [MiB], pci.bus_id, "
        "mig.mode.current",
        "0, NVIDIA GeForce RTX 4090, GPU-0000, 580.126.09, 8.9, 24564 MiB, 00000000:01:00.0, [N/A]",
        "1, NVIDIA H200, GPU-1111, 580.126.09, 9.0, 143771 MiB, 00000000:0A:00.0, Disabled",
    ]


def test_noheader_and_nounits(table):
    done = smi(table(), "--query-gpu=index,memory.total", "--format=csv,noheader,nounits")
    assert done.stdout == "0, 24564\n1, 143771\n2, [N/A]\n"


@pytest.mark.parametrize("wanted", ["1", "GPU-1111", "00000000:0A:00.0"])
def test_one_gpu(table, wanted):
    assert smi(table(), "-i", wanted, "-L").stdout == "GPU 1: NVIDIA H200 (UUID: GPU-1111)\n"


def test_unknown_gpu_is_no_device(table):
    done = smi(table(), "-i", "7", "--query-gpu=index", "--format=csv,noheader")
    assert (done.returncode, done.stdout) == (6, "No devices were found\n")


def test_first_unknown_field_fails_the_query(table):
    done = smi(table(), "--query-gpu=index,device_minor,nonsense", "--format=csv")
    assert done.returncode == 2
    assert done.stdout == 'Field "device_minor" is not a valid field to query.\n\n'
    assert done.stderr == ""


def test_compute_cap_is_unknown_to_old_drivers(table):
    old = table(driver="470.182.03", loaded="470.182.03")
    done = smi(old, "--query-gpu=compute_cap", "--format=csv")
    assert done.returncode == 2
    assert done.stdout == 'Field "compute_cap" is not a valid field to query.\n\n'


@pytest.mark.parametrize(
    ("driver", "cuda", "line"),
    [
        (
            "525.89.02",
            "12.0",
            "| NVIDIA-SMI 525.89.02    Driver Version: 525.89.02    CUDA Version: 12.0     |",
        ),
        (
            "535.129.03",
            "12.2",
            "| NVIDIA-SMI 535.129.03             Driver Version: 535.129.03   "
            "CUDA Version: 12.2     |",
        ),
        (
            "550.127.05",
            "12.4",
            "| NVIDIA-SMI 550.127.05             Driver Version: 550.127.05     "
            "CUDA Version: 12.4     |",
        ),
        (
            "570.169",
            "12.8",
            "| NVIDIA-SMI 570.169                Driver Version: 570.169        "
            "CUDA Version: 12.8     |",
        ),
        (
            "610.57.04",
            "13.3",
            "| NVIDIA-SMI 610.57.04              KMD Version: 610.57.04     "
            "CUDA UMD Version: 13.3     |",
        ),
    ],
)
def test_header_line(table, driver, cuda, line):
    done = smi(table(driver=driver, loaded=driver, cuda=cuda))
    assert line in done.stdout.splitlines()


def test_overview_has_lines_of_one_width(table):
    lines = smi(table()).stdout.splitlines()[1:]
    assert {len(line) for line in lines} == {91}


def test_version_before_and_since_610(table):
    assert smi(table(), "--version").stdout == (
        "NVIDIA-SMI version  : 580.126.09\nNVML version        : 580.126\n"
        "DRIVER version      : 580.126.09\nCUDA Version        : 13.0\n"
    )
    new = smi(table(driver="610.57.04", loaded="610.57.04", cuda="13.3"), "--version").stdout
    assert 'DRIVER version      : Deprecated, see "KMD version" instead\n' in new
    assert new.endswith("KMD version         : 610.57.04\nCUDA UMD version    : 13.3\n")


@pytest.mark.parametrize(
    ("mode", "code", "text"),
    [
        ("nodriver", 9, NOT_LOADED),
        ("absent-device", 9, NOT_LOADED),
        ("nolib", 12, NO_LIBRARY),
        (
            "mismatch",
            18,
            "Failed to initialize NVML: Driver/library version mismatch\n"
            "NVML library version: 580.126\n",
        ),
        ("nodevices", 6, "No devices were found\n"),
        ("unknown", 255, "Failed to initialize NVML: Unknown Error\n"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--query-gpu=nonsense", "--format=csv")])
def test_failures_speak_on_stdout(table, mode, code, text, arguments):
    done = smi(table(mode), *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, text, "")


def test_no_devices_in_a_list_ends_otherwise(table):
    assert smi(table("nodevices"), "-L").stdout == "No devices found.\n"
    assert smi(table(gpus=0), "-L").returncode == 6


@pytest.mark.parametrize(("loaded", "code"), [("", 9), ("570.169", 18)])
def test_driver_that_is_not_the_loaded_one(table, loaded, code):
    assert smi(table(loaded=loaded), "-L").returncode == code


def test_lost_gpu_between_good_rows(table):
    done = smi(table("lost"), "--query-gpu=index,uuid", "--format=csv,noheader")
    assert done.stdout.splitlines() == [
        "0, GPU-0000",
        "Unable to determine the device handle for GPU0000:0A:00.0: Unknown Error",
        "[Unknown Error], [Unknown Error]",
        "2, GPU-2222",
    ]
    assert done.returncode == 255


def test_newer_drivers_lose_a_gpu_and_still_exit_0(table):
    lost = table("lost", driver="595.71.05", loaded="595.71.05")
    done = smi(lost, "--query-gpu=index", "--format=csv,noheader")
    assert done.stdout.splitlines() == [
        "0",
        "Unable to determine the device handle for GPU1: 0000:0A:00.0: Unknown Error",
        "2",
    ]
    assert done.returncode == 0


def test_hang_answers_nothing(table):
    with pytest.raises(subprocess.TimeoutExpired):
        smi(table("hang"), "-L", timeout=0.5)


def test_compute_apps(table):
    path = table()
    query = "--query-compute-apps=pid,process_name,used_gpu_memory"
    assert smi(path, query, "--format=csv,noheader").stdout == ""
    path.with_name("compute-apps").write_text("5268|python3|GPU-1111|3700\n")
    assert smi(path, query, "--format=csv").stdout == (
        "pid, process_name, used_gpu_memory [MiB]\n5268, python3, 3700 MiB\n"
    )
    used = smi(path, "-i", "1", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    assert used.stdout == "3700\n"


def in_container(folder: Path, *nodes: str) -> dict[str, Any]:
    dev = folder / "dev"
    dev.mkdir()
    for node in nodes:
        (dev / node).touch()
    return {"GPUHOST_LAB_DEV": str(dev)}


def test_container_sees_its_gpus_numbered_from_0(table, tmp_path):
    environment = in_container(tmp_path, "nvidiactl", "nvidia1", "nvidia2")
    assert smi(table(), "-L", **environment).stdout == (
        "GPU 0: NVIDIA H200 (UUID: GPU-1111)\nGPU 1: NVIDIA GB10 (UUID: GPU-2222)\n"
    )


def test_container_without_gpus(table, tmp_path):
    assert smi(table(), "-L", **in_container(tmp_path, "nvidiactl")).returncode == 6


def test_container_whose_gpus_were_taken_away(table, tmp_path):
    done = smi(table(), "-L", **in_container(tmp_path, "nvidia0"))
    assert (done.returncode, done.stdout) == (255, "Failed to initialize NVML: Unknown Error\n")


def test_container_with_the_fault_lose_gpu(table, tmp_path):
    environment = in_container(tmp_path, "nvidiactl", "nvidia0")
    done = smi(table(), "-L", **environment, WEBUI_FAULTS='{"lose_gpu": true}')
    assert done.returncode == 255


def test_slow_answers_as_ok_but_late(table):
    begun = time.monotonic()
    assert smi(table("slow", delay="0.4", gpus=1), "-L").stdout.startswith("GPU 0: ")
    assert time.monotonic() - begun >= 0.4


def test_memory_of_a_process_that_ended_lingers(table):
    path = table()
    query = "--query-compute-apps=pid", "--format=csv,noheader"
    dead = subprocess.Popen(["true"])
    dead.wait()
    apps = path.with_name("compute-apps")
    apps.write_text(f"{os.getpid()}|python3|GPU-1111|9|0\n{dead.pid}|python3|GPU-1111|7|2\n")
    assert smi(path, *query).stdout == f"{os.getpid()}\n{dead.pid}\n"
    deadline = time.monotonic() + 5
    while str(dead.pid) in smi(path, *query).stdout.split():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    used = smi(path, "-i", "1", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    assert used.stdout == "9\n"
