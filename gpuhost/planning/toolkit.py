"""The NVIDIA Container Toolkit: four packages, one version."""

from gpuhost.actions import Packages, WriteFile
from gpuhost.plan import Lines, Stage, Step
from gpuhost.planning import repository
from gpuhost.planning.files import drift
from gpuhost.planning.view import View

KEY = "/etc/apt/keyrings/nvidia-container-toolkit.asc"
SOURCE = "/etc/apt/sources.list.d/gpuhost-nvidia-container-toolkit.sources"
PREFERENCES = "/etc/apt/preferences.d/gpuhost-nvidia-container-toolkit"
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
RPM_NAME = "gpuhost-nvidia-container-toolkit"
RPM_KEY = f"{repository.RPM_KEYS}/RPM-GPG-KEY-{RPM_NAME}"
RETIRED = ("nvidia-docker2", "nvidia-container-runtime")


def lines(view: View) -> Lines:
    """Steps that bring all four packages to the pinned version, up or down."""
    family = view.state.system.family
    if family == "debian":
        yield from repository.lines(view, apt_repository(view))
        preferences = WriteFile(PREFERENCES, _preferences(view).encode())
        if now := drift(view.state, preferences):
            yield Step(
                Stage.TOOLKIT, "toolkit pin", now, view.settings.toolkit_version,
                "an upgrade of the host must not move it", (preferences,),
            )  # fmt: skip
    elif family:
        yield from repository.lines(view, rpm_repository(view))
    found = {name: view.state.packages.get(name, "") for name in PACKAGES}
    retired = tuple(name for name in RETIRED if name in view.state.packages)
    if set(found.values()) != {view.settings.toolkit_version} or retired:
        yield Step(
            Stage.TOOLKIT, "toolkit", _versions(found), view.settings.toolkit_version,
            f"replaces {' '.join(retired)}" if retired else "pinned by toolkit_version",
            (Packages("NVIDIA Container Toolkit", _pinned(view), retired, _rpm_key(view)),),
        )  # fmt: skip


def apt_repository(view: View) -> repository.Repository:
    """NVIDIA's flat apt repository."""
    settings = view.settings
    text = (
        "# Managed by gpuhost.\n"
        "Types: deb\n"
        f"URIs: {settings.toolkit_apt_url.rstrip('/')}/{view.state.system.deb_arch}\n"
        "Suites: /\n"
        f"Signed-By: {KEY}\n"
    )
    return repository.Repository(
        stage=Stage.TOOLKIT,
        name="nvidia",
        word=repository.source_words(settings.toolkit_apt_url),
        key_path=KEY,
        key_source=settings.toolkit_apt_key,
        fingerprint=settings.toolkit_apt_fingerprint,
        source=WriteFile(SOURCE, text.encode()),
    )


def rpm_repository(view: View) -> repository.Repository:
    """NVIDIA's rpm repository, the same for all distributions."""
    settings, title = view.settings, "NVIDIA Container Toolkit"
    url = settings.toolkit_rpm_url
    return repository.Repository(
        stage=Stage.TOOLKIT,
        name="nvidia",
        word=repository.source_words(url),
        key_path=RPM_KEY,
        key_source=settings.toolkit_apt_key,
        fingerprint=settings.toolkit_apt_fingerprint,
        source=repository.rpm_source(view, RPM_NAME, title, url, RPM_KEY, "metadata"),
    )


def _preferences(view: View) -> str:
    return (
        "# Managed by gpuhost.\n"
        f"Package: {' '.join(PACKAGES)}\n"
        f"Pin: version {view.settings.toolkit_version}\n"
        "Pin-Priority: 1001\n"
    )


def _rpm_key(view: View) -> str:
    return "" if view.state.system.family == "debian" else RPM_KEY


def _pinned(view: View) -> tuple[str, ...]:
    return tuple(f"{name}={view.settings.toolkit_version}" for name in PACKAGES)


def _versions(found: dict[str, str]) -> str:
    versions = sorted({version for version in found.values() if version})
    if not versions:
        return "missing"
    missing = len([version for version in found.values() if not version])
    return ", ".join(versions) + (f", {missing} of {len(found)} missing" if missing else "")
