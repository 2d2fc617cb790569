"""One repository with its key: what both Docker's and NVIDIA's need, for apt, dnf and zypper."""

import re
from dataclasses import dataclass

from gpuhost import templates
from gpuhost.actions import MoveAside, WriteFile, WriteKey
from gpuhost.openpgp import OpenPGPError, fingerprints
from gpuhost.plan import Lines, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.view import View

RPM_KEYS = "/etc/pki/rpm-gpg"
RPM_FOLDERS = {"rhel": "/etc/yum.repos.d", "suse": "/etc/zypp/repos.d"}
"""Where dnf and zypper look for .repo files, by family."""


@dataclass(frozen=True)
class Repository:
    """A signed repository."""

    stage: Stage
    name: str
    word: str
    """What names it in anybody's sources."""
    key_path: str
    key_source: str
    fingerprint: str
    source: WriteFile


def lines(view: View, repository: Repository) -> Lines:
    """Steps that make this the only source of its packages, with the pinned key."""
    found = _fingerprints(view, repository)
    if found != (repository.fingerprint,):
        now = ", ".join(short(one) for one in found) or "missing"
        yield Step(
            repository.stage, f"{repository.name} key", now, short(repository.fingerprint),
            "packages are accepted from the pinned key only",
            (WriteKey(repository.key_path, repository.key_source, repository.fingerprint),),
        )  # fmt: skip
    for path in colliding(view, repository):
        yield Step(
            repository.stage, path, "names the same repository", "moved aside",
            "packages are accepted from the pinned key only", (MoveAside(path),),
        )  # fmt: skip
    if now := drift(view.state, repository.source):
        yield Step(
            repository.stage, f"{repository.name} source", now, repository.source.path,
            "the packages come from there", (repository.source,),
        )  # fmt: skip


def rpm_paths(name: str) -> tuple[str, ...]:
    """Where a repository's .repo file may be, on any family."""
    return tuple(f"{folder}/{name}.repo" for folder in RPM_FOLDERS.values())


def rpm_source(view: View, name: str, title: str, url: str, key: str, signed: str) -> WriteFile:
    """
    The .repo file of a repository.

    :param signed: "packages" or "metadata"
    """
    path = f"{RPM_FOLDERS[view.state.system.family]}/{name}.repo"
    text = templates.render("rpm.repo.j2", id=name, name=title, url=url, key=key, signed=signed)
    return WriteFile(path, text.encode())


def source_words(url: str) -> str:
    """The part of a repository's address that any source naming it must hold.

    Empty where that is no more than a host: it may serve other repositories too.
    """
    fixed = re.split(r"[{$]", url.partition("://")[2])[0].rstrip("/")
    return fixed if "/" in fixed else ""


def colliding(view: View, repository: Repository) -> list[str]:
    """Other sources of the same repository."""
    paths = view.state.foreign_sources.get(repository.word, ())
    return [path for path in paths if path != repository.source.path]


def short(fingerprint: str) -> str:
    """A fingerprint's last 16 digits, as apt and gpg show it."""
    return fingerprint[-16:]


def _fingerprints(view: View, repository: Repository) -> tuple[str, ...]:
    content = view.state.file(repository.key_path).content
    try:
        return fingerprints(content) if content else ()
    except OpenPGPError:
        return ("not a key",)
