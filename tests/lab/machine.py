"""What this machine brings along: its Debian mirror, its certificates, the tools it has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.steps import say, step

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
CARRIED_OPTIONS = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)
_APT = threading.Lock()


class MachineError(Exception):
    """This machine lacks something that the lab cannot install."""


@dataclass(frozen=True)
class Archive:
    """One suite of a Debian mirror."""

    uri: str
    suite: str


def need(tools: dict[str, str], why: str) -> None:
    """Install the Debian packages of the tools (program: package) that are not on PATH."""
    with _APT:
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        missing = sorted({p for tool, p in tools.items() if not shutil.which(tool, path=path)})
        if missing:
            say(f"apt-get install {' '.join(missing)}: needed for {why}")
            with step("packages installed"):
                _apt_get("update")
                _apt_get("install", "-y", "--no-install-recommends", *missing)


def _apt_get(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        tail = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise MachineError(f"machine: {' '.join(command)}: rc {done.returncode}: {tail}")


def codename() -> str:
    """The Debian release of this machine, 'bookworm' or 'trixie'."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def archives(suite: str) -> list[Archive]:
    """The mirror's archives of `suite` with its updates and security, as far as reachable."""
    own = codename()
    found: dict[Archive, None] = {}
    for uri, name in _configured():
        if name == own or name.startswith(f"{own}-"):
            found.setdefault(Archive(uri.rstrip("/"), name.replace(own, suite, 1)))
    reachable = [a for a in found if a.suite == suite or _reachable(a)]
    if not any(a.suite == suite for a in reachable):
        raise MachineError(f"machine: apt sources: no Debian mirror with suite {own!r} found")
    return reachable


def sources(suite: str, components: str = "main") -> str:
    """The same archives in deb822 form."""
    stanzas = (
        f"Types: deb\nURIs: {a.uri}\nSuites: {a.suite}\nComponents: {components}\n"
        f"Signed-By: {KEYRING}\n"
        for a in archives(suite)
    )
    return "\n".join(stanzas)


def apt_options() -> str:
    """The options of this machine's apt that its mirror may need, as apt.conf lines."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    lines = [x for x in dump.stdout.splitlines() if x.split(" ")[0] in CARRIED_OPTIONS]
    return "".join(f"{line}\n" for line in [*lines, 'Acquire::Languages "none";'])


def known_names() -> dict[str, str]:
    """Names in this machine's /etc/hosts that lead elsewhere: hosts of the lab need them too."""
    names: dict[str, str] = {}
    for line in Path("/etc/hosts").read_text().splitlines():
        address, *aliases = line.partition("#")[0].split() or [""]
        if address and not address.startswith(("127.", "::1", "fe00:", "ff0")):
            names.update(dict.fromkeys(aliases, address))
    return names


def _configured() -> Iterator[tuple[str, str]]:
    folder = Path("/etc/apt/sources.list.d")
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        if path.exists():
            yield from _one_line_style(path.read_text())
    for path in sorted(folder.glob("*.sources")):
        for stanza in path.read_text().split("\n\n"):
            yield from _deb822_style(stanza)


def _one_line_style(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        rest = rest.strip()
        if rest.startswith("["):
            rest = rest.partition("]")[2]
        fields = rest.split()
        if kind == "deb" and len(fields) > 1:
            yield fields[0], fields[1]


def _deb822_style(stanza: str) -> Iterator[tuple[str, str]]:
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if not line[:1].isspace():
            key, _, line = line.partition(":")
        fields[key.lower()] = fields.get(key.lower(), "") + " " + line.strip()
    if "deb" in fields.get("types", "").split() and fields.get("enabled", "").strip() != "no":
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite


def _reachable(archive: Archive) -> bool:
    if not archive.uri.startswith("http"):
        return True
    request = urllib.request.Request(
        f"{archive.uri}/dists/{archive.suite}/InRelease", method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except (urllib.error.URLError, OSError):
        return False
