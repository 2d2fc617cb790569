"""The NVIDIA driver: refused with the exact commands, or installed when asked to."""

import re

from gpuhost.actions import Packages, Reboot, WriteFile
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.view import View

PACKAGED = re.compile(r"nvidia-driver(-\d.*)?|nvidia-(headless|open)-?\d*.*|a?kmod-nvidia.*")
"""The packages that bring the kernel module, on any distribution."""
MISSING = ("no-driver", "not-loaded", "no-library", "nouveau")
SOURCE = "/etc/apt/sources.list.d/gpuhost-driver.sources"
DEBIAN = ("linux-headers-{deb_arch}", "nvidia-driver", "nvidia-smi")
UBUNTU = ("nvidia-headless-580-server-open", "nvidia-utils-580-server")
COMMANDS = {
    "debian": "apt-get install -y linux-headers-{deb_arch} nvidia-driver nvidia-smi"
    " (with contrib, non-free and non-free-firmware in the apt sources), then reboot",
    "ubuntu": "ubuntu-drivers install --gpgpu nvidia:580-server, then reboot",
    "rhel": "dnf install nvidia-open from NVIDIA's CUDA repository, then reboot",
    "suse": "zypper install nvidia-open from NVIDIA's CUDA repository, then reboot",
}


def lines(view: View) -> Lines:
    """Steps that install a driver where there is none, if settings allow it."""
    gpus, settings = view.state.gpus, view.settings
    if gpus.problem not in MISSING:
        return
    if gpus.problem in ("not-loaded", "nouveau") and (_installed(view) or gpus.runfile):
        yield from _installed_but_not_loaded(view)
    elif not settings.driver_manage:
        yield _refuse(gpus.detail, f"{commands(view)} (or set driver_manage = True)")
    elif gpus.runfile:
        yield _refuse(
            "a driver from NVIDIA's .run installer is broken",
            "it is not touched here: run nvidia-uninstall, or install it anew",
        )
    elif gpus.secure_boot:
        yield _refuse(
            "Secure Boot is on, and the packaged module is not signed for it",
            "enrol a machine owner key by hand, or switch Secure Boot off",
        )
    elif not packages(view):
        yield _refuse(f"no packaged driver for {view.state.system.name}", commands(view))
    else:
        yield from _install(view)


def commands(view: View) -> str:
    """What a person types on this distribution."""
    system = view.state.system
    text = COMMANDS.get(system.id) or COMMANDS.get(system.family, "install NVIDIA's driver")
    return text.format(deb_arch=system.deb_arch)


def packages(view: View) -> tuple[str, ...]:
    """The distribution's own packages of the driver; empty where it has none."""
    if view.settings.driver_packages:
        return tuple(view.settings.driver_packages)
    names = {"debian": DEBIAN, "ubuntu": UBUNTU}.get(view.state.system.id, ())
    return tuple(name.format(deb_arch=view.state.system.deb_arch) for name in names)


def _installed(view: View) -> bool:
    return any(PACKAGED.fullmatch(name) for name in view.state.packages)


def _install(view: View) -> Lines:
    actions: list[WriteFile | Packages | Reboot] = []
    if view.settings.driver_apt_url:
        actions.append(WriteFile(SOURCE, _source(view).encode()))
    actions.append(Packages("NVIDIA driver", packages(view)))
    if view.settings.driver_reboot:
        actions.append(Reboot())
    yield Step(
        Stage.DRIVER, "driver", view.state.gpus.detail, " ".join(packages(view)),
        "containers need the host's driver", tuple(actions),
    )  # fmt: skip


def _installed_but_not_loaded(view: View) -> Lines:
    if view.settings.driver_manage and view.settings.driver_reboot:
        yield Step(
            Stage.DRIVER, "driver", "installed, not loaded", "loaded",
            "the module loads at boot", (Reboot(),),
        )  # fmt: skip
    else:
        yield _refuse(
            "the driver is installed and not loaded",
            "reboot this host (or set driver_manage = True and driver_reboot = True)",
        )


def _source(view: View) -> str:
    return (
        "# Managed by gpuhost.\n"
        "Types: deb\n"
        f"URIs: {view.settings.driver_apt_url}\n"
        f"Suites: {view.state.system.codename}\n"
        "Components: contrib non-free non-free-firmware\n"
        f"Signed-By: {view.settings.driver_apt_keyring}\n"
    )


def _refuse(found: str, remedy: str) -> Refusal:
    return Refusal(Stage.DRIVER, "driver", found, remedy)
