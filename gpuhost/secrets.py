"""Passwords, read on the machine that runs pyinfra, from the environment or a file."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuhost.settings import Settings

FORBIDDEN = set(" \t\r\n:,'\"\\*?[];$")


class SecretError(ValueError):
    """A password that is missing or not safely kept; the message does not hold it."""


@dataclass(frozen=True)
class Secrets:
    """What must never be in argv, a log, an image or the lock."""

    registry: str = field(default="", repr=False)
    webui: str = field(default="", repr=False)
    registry_ca: bytes = field(default=b"", repr=False)
    """Not secret, and read here for the same reason: it lies on this machine."""


SETTINGS = frozenset(
    f"{prefix}_{part}"
    for prefix in ("image_registry", "webui")
    for part in ("user", "password_env", "password_file")
) | {"image_registry_ca"}
"""The settings that say where the passwords are."""


def problems(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """One line per password that cannot be had; a login without any is `agreement`'s to name."""
    try:
        read(settings, environment)
    except SecretError as error:
        return str(error).splitlines()
    return []


def read(settings: Settings, environment: Mapping[str, str] = os.environ) -> Secrets:
    """:raises SecretError: one line per password that cannot be had"""
    found: dict[str, str] = {}
    lines: list[str] = []
    for prefix, user in (
        ("image_registry", settings.image_registry_user),
        ("webui", settings.webui_user),
    ):
        if not user or not _named(prefix, settings):
            continue
        try:
            found[prefix] = _password(prefix, settings, environment)
        except SecretError as error:
            lines.append(str(error))
    try:
        authority = _authority(settings.image_registry_ca)
    except SecretError as error:
        lines.append(str(error))
    if lines:
        raise SecretError("\n".join(lines))
    return Secrets(found.get("image_registry", ""), found.get("webui", ""), authority)


def _authority(path: str) -> bytes:
    if not path:
        return b""
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise SecretError(
            f"image_registry_ca: should be a readable file, got {error.strerror}: {path}"
        ) from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise SecretError(
            f"image_registry_ca: should be a PEM certificate, got something else: {path}"
        )
    return content


def _named(prefix: str, settings: Settings) -> bool:
    return bool(
        getattr(settings, f"{prefix}_password_env") or getattr(settings, f"{prefix}_password_file")
    )


def _password(prefix: str, settings: Settings, environment: Mapping[str, str]) -> str:
    variable: str = getattr(settings, f"{prefix}_password_env")
    path: str = getattr(settings, f"{prefix}_password_file")
    if variable and environment.get(variable):
        secret = environment[variable]
    elif path:
        secret = _from_file(f"{prefix}_password_file", Path(path).expanduser())
    else:
        raise SecretError(
            f"{prefix}_password_env: should name a variable that holds the password,"
            f" got nothing in {variable!r} (export {variable}=..., or set"
            f" {prefix}_password_file)"
        )
    if prefix == "webui" and FORBIDDEN & set(secret):
        raise SecretError(
            f"{prefix}_password: should not hold blanks, quotes or any of : , * ? [ ] ; $ \\"
            " (the WebUI cannot read them)"
        )
    return secret


def _from_file(key: str, path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise SecretError(
            f"{key}: should be a readable file, got {error.strerror}: {path}"
        ) from None
    except UnicodeDecodeError:
        raise SecretError(f"{key}: should be UTF-8 text, got other bytes: {path}") from None
    if mode & 0o077:
        raise SecretError(f"{key}: should be mode 0600, got {mode:04o} (chmod 600 {path})")
    if not secret:
        raise SecretError(f"{key}: should hold the password, got an empty file {path}")
    return secret
