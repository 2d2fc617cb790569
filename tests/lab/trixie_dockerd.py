"""Debian trixie's dockerd, unpacked beside whatever runs here: it knows ``--validate``."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SOURCES = """\
Types: deb
URIs: {mirror}
Suites: trixie
Components: main
Signed-By: {keyring}
"""

CONFIG = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Etc::sourcelist "{room}/debian.sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "-";
Dir::State "{room}/state";
Dir::State::status "{room}/status";
Dir::Cache "{room}/cache";
"""


def trixie_dockerd() -> Path:
    """Give the path of dockerd 26.1 or newer; fetch its package the first time.

    Raises RuntimeError with what apt said where the package cannot be had.
    """
    home = _cache()
    dockerd = home / "root/usr/sbin/dockerd"
    with _only_one(home):
        if not dockerd.exists():
            with tempfile.TemporaryDirectory(dir=home) as room:
                _fetch(Path(room)).rename(home / "root")
    return dockerd


def debian_mirror() -> str:
    """Read the address of the Debian mirror that this machine's apt uses."""
    targets = _run(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    )  # fmt: skip
    for line in targets.splitlines():
        mirror, release, component = line.split()
        if release in {"bookworm", "trixie", "stable"} and component == "main":
            return mirror
    raise RuntimeError(f"apt: no Debian mirror among its sources, got {targets!r}")


def _fetch(room: Path) -> Path:
    for folder in ("state/lists/partial", "cache/archives/partial", "root"):
        (room / folder).mkdir(parents=True)
    (room / "status").touch()
    sources = SOURCES.format(mirror=debian_mirror(), keyring=KEYRING)
    (room / "debian.sources").write_text(sources)
    (room / "apt.conf").write_text(CONFIG.format(room=room))
    _run("apt-get", "-c", str(room / "apt.conf"), "-q", "update", cwd=room)
    _run("apt-get", "-c", str(room / "apt.conf"), "-q", "download", "docker.io", cwd=room)
    (package,) = room.glob("docker.io_*.deb")
    _run("dpkg", "-x", str(package), str(room / "root"))
    _run(str(room / "root/usr/sbin/dockerd"), "--version")
    return room / "root"


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = base / "gpuhost-lab/dockerd-validate"
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in home.glob("tmp*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise RuntimeError(
            f"{command[0]} {command[-1]}: exit {done.returncode}: {' / '.join(said)}"
        )
    return done.stdout
