"""Docker Engine: from Docker's repository, from the distribution, or as it is."""

from gpuhost.actions import EnableUnit, Packages, WriteFile
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning import repository
from gpuhost.planning.view import View

KEY = "/etc/apt/keyrings/docker.asc"
SOURCE = "/etc/apt/sources.list.d/docker.sources"
RPM_NAME = "gpuhost-docker"
RPM_KEY = f"{repository.RPM_KEYS}/RPM-GPG-KEY-{RPM_NAME}"
DOCKER = (
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
)
DISTRIBUTIONS = {
    "debian": ("docker.io", "docker-cli", "docker-compose", "docker-buildx"),
    "ubuntu": ("docker.io", "docker-compose-v2", "docker-buildx"),
    "fedora": ("moby-engine", "docker-cli", "docker-compose", "docker-buildx"),
    "opensuse-leap": ("docker", "docker-compose", "docker-buildx"),
    "opensuse-tumbleweed": ("docker", "docker-compose", "docker-buildx"),
}
CONFLICTS = {
    "docker": ("docker.io", "docker-cli", "docker-doc", "docker-compose", "docker-compose-v2",
               "docker-buildx", "podman-docker", "containerd", "runc"),
    "distro": ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin",
               "docker-compose-plugin", "podman-docker"),
    "present": (),
}  # fmt: skip
OLDEST = (20, 10)


def lines(view: View) -> Lines:
    """Steps that end in a running engine with compose v2."""
    settings = view.settings
    if settings.engine_source == "present":
        yield from _present(view)
        return
    if refusal := _unpackaged(view):
        yield refusal
        return
    missing, conflicts = _missing(view), _conflicts(view)
    if conflicts and not settings.engine_replace:
        yield Refusal(
            Stage.ENGINE, "engine", f"{' '.join(conflicts)} is installed",
            "these conflict with the chosen source: set engine_replace = True to remove them"
            " (stops their containers, keeps /var/lib/docker), or engine_source = 'present'",
        )  # fmt: skip
        return
    if found := _repository(view):
        yield from repository.lines(view, found)
    if missing or conflicts:
        yield _install(view, missing, conflicts)
    elif not view.state.engine.running:
        yield Step(
            Stage.ENGINE, "engine", view.state.engine.detail or "not running", "running",
            "containers need it", (EnableUnit("docker.service"),),
        )  # fmt: skip


def _repository(view: View) -> repository.Repository | None:
    if view.settings.engine_source != "docker" or not view.state.system.family:
        return None
    return apt_repository(view) if view.state.system.family == "debian" else rpm_repository(view)


def apt_repository(view: View) -> repository.Repository:
    """Docker's apt repository for this distribution."""
    system, settings = view.state.system, view.settings
    base = "ubuntu" if system.id == "ubuntu" else "debian"
    url = settings.engine_apt_url.format(distribution=base)
    text = (
        "# Managed by gpuhost.\n"
        "Types: deb\n"
        f"URIs: {url}\n"
        f"Suites: {system.codename}\n"
        "Components: stable\n"
        f"Architectures: {system.deb_arch}\n"
        f"Signed-By: {KEY}\n"
    )
    return repository.Repository(
        stage=Stage.ENGINE,
        name="docker",
        word=repository.source_words(settings.engine_apt_url),
        key_path=KEY,
        key_source=settings.engine_apt_key.format(distribution=base),
        fingerprint=settings.engine_apt_fingerprint,
        source=WriteFile(SOURCE, text.encode()),
    )


def rpm_repository(view: View) -> repository.Repository:
    """Docker's rpm repository for this distribution."""
    settings = view.settings
    base = {"fedora": "fedora", "rhel": "rhel"}.get(view.state.system.id, "centos")
    url = settings.engine_rpm_url.format(distribution=base)
    return repository.Repository(
        stage=Stage.ENGINE,
        name="docker",
        word=repository.source_words(settings.engine_rpm_url),
        key_path=RPM_KEY,
        key_source=settings.engine_rpm_key.format(distribution=base),
        fingerprint=settings.engine_rpm_fingerprint,
        source=repository.rpm_source(view, RPM_NAME, "Docker", url, RPM_KEY, "packages"),
    )


def wanted_packages(view: View) -> tuple[str, ...]:
    """The packages of the chosen source, pinned if a version is set."""
    settings, system = view.settings, view.state.system
    if settings.engine_source == "distro":
        return DISTRIBUTIONS.get(system.id, ())
    if not settings.engine_version:
        return DOCKER
    pinned = ("docker-ce", "docker-ce-cli")
    return tuple(
        f"{name}={_pin(settings.engine_version, system.family)}" if name in pinned else name
        for name in DOCKER
    )


def _pin(version: str, family: str) -> str:
    return f"5:{version}-*" if family == "debian" else f"{version}-*"


def _missing(view: View) -> list[str]:
    installed = view.state.packages
    return [name for name in wanted_packages(view) if not _satisfied(name, installed)]


def _satisfied(wanted: str, installed: object) -> bool:
    name, _, version = wanted.partition("=")
    found = installed.get(name, "") if isinstance(installed, dict) else ""
    if not version:
        return bool(found)
    bare = version.rstrip("*")
    return found.startswith((bare, bare.partition(":")[2] or bare))


def _conflicts(view: View) -> list[str]:
    return [
        name
        for name in CONFLICTS[view.settings.engine_source]
        if name in view.state.packages and name not in wanted_packages(view)
    ]


def _install(view: View, missing: list[str], conflicts: list[str]) -> Step:
    engine = view.state.engine
    now = f"{engine.provider} {engine.version}".strip() or "missing"
    source = (
        "Docker's repository" if view.settings.engine_source == "docker" else "the distribution"
    )
    wanted = view.settings.engine_version or f"from {source}"
    install = tuple(missing) or wanted_packages(view)
    why = f"replaces {' '.join(conflicts)}" if conflicts else f"missing: {' '.join(missing)}"
    return Step(
        Stage.ENGINE, "engine", now, wanted, why,
        (Packages("Docker Engine", install, tuple(conflicts), _rpm_key(view)),
         EnableUnit("docker.service")),
    )  # fmt: skip


def _rpm_key(view: View) -> str:
    docker = view.settings.engine_source == "docker"
    return RPM_KEY if docker and view.state.system.family != "debian" else ""


def _unpackaged(view: View) -> Refusal | None:
    system, source = view.state.system, view.settings.engine_source
    if source == "distro" and system.id == "debian" and system.codename == "bookworm":
        return Refusal(
            Stage.ENGINE, "engine", f"{system.name} packages no Docker Compose v2",
            "set engine_source = 'docker' for this host",
        )  # fmt: skip
    if source == "docker" and system.family == "suse":
        return Refusal(
            Stage.ENGINE, "engine", f"Docker's repository has no packages for {system.name}",
            "set engine_source = 'distro' for this host",
        )  # fmt: skip
    if source == "distro" and not wanted_packages(view):
        return Refusal(
            Stage.ENGINE, "engine", f"no known engine packages of {system.name}",
            "set engine_source = 'docker', or install one and set engine_source = 'present'",
        )  # fmt: skip
    if view.state.engine.provider == "unpackaged":
        return Refusal(
            Stage.ENGINE, "engine", "an engine that no package owns",
            "set engine_source = 'present', or remove it",
        )  # fmt: skip
    return None


def _present(view: View) -> Lines:
    engine = view.state.engine
    if not engine.provider:
        yield _refuse("no engine is installed", "set engine_source = 'docker' or 'distro'")
    elif not engine.running:
        yield _refuse(engine.detail or "it does not run", "start it: systemctl start docker")
    elif engine.numbers < OLDEST:
        yield _refuse(f"version {engine.version}", "upgrade it to 20.10 or newer")
    elif not engine.compose:
        yield _refuse("docker compose v2 is missing", "install docker-compose-plugin")


def _refuse(found: str, remedy: str) -> Refusal:
    return Refusal(Stage.ENGINE, "engine", found, remedy)
