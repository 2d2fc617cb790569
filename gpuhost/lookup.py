"""What an image reference means: known from the lock, or asked of its registry."""

from __future__ import annotations

import getpass
import os
import re
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from gpuhost.lock import DIGEST, KEPT_LABELS, KEPT_VARIABLES, Lock, LockedImage, NoSuchImage, kept
from gpuhost.planning.registry_login import registry_of
from gpuhost.reference import Reference
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings

if TYPE_CHECKING:
    from gpuhost.registry import Registry

_DIGITS = re.compile("[0-9a-f]{6,64}")


class LookupFailed(ValueError):
    """Why a reference was not resolved, in one line."""


def in_lock(lock: Lock, name: str, to: str) -> LockedImage | None:
    """The image of a key that a digest or prefix means; None where `to` may be a tag.

    :raises LockError: when it can only be a digest, and the lock does not hold it
    """
    if not (":" in to or _DIGITS.fullmatch(to)):
        return None
    try:
        return lock.image_of(to, name)
    except NoSuchImage:
        if DIGEST.fullmatch(to) or ":" not in to:
            return None
        raise


def at_registry(
    reference: str, settings: Settings, secrets: Secrets, platform: str,
    to: str = "", old: LockedImage | None = None,
) -> LockedImage:  # fmt: skip
    """The image that a reference means now, or what `to` means there, a tag or a digest.

    It is `old` itself where the digest is still that.

    :raises LookupFailed: with the registry's reason
    """
    from gpuhost.registry import RegistryError

    try:
        wanted = _at(Reference.parse(reference), to)
        registry = _registry(reference, settings, secrets)
        if old and registry.digest(wanted, platform) == old.digest:
            return old
        found = registry.resolve(wanted, platform)
    except (RegistryError, ValueError) as error:
        raise LookupFailed(str(error)) from None
    return LockedImage(
        reference=reference,
        digest=found.digest,
        platform=platform,
        created=found.created,
        size=found.size,
        labels=kept(found.labels, KEPT_LABELS),
        env=kept(found.env, KEPT_VARIABLES),
        resolved_at=now(),
        resolved_by=operator(),
        resolved_from=to,
        layers=tuple((diff_id.rpartition(":")[2][:12], size) for diff_id, size in found.layers),
    )


def now() -> str:
    """This second, as locks hold it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def operator() -> str:
    """Who runs this, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _at(reference: Reference, to: str) -> Reference:
    if not to:
        return reference
    if reference.digest:
        raise LookupFailed(f"{reference}: names a digest itself, write {to} into image_reference")
    if DIGEST.fullmatch(to):
        return reference.at(to)
    return Reference.parse(f"{reference.name}:{to}")


def _registry(reference: str, settings: Settings, secrets: Secrets) -> Registry:
    from gpuhost.registry import Registry

    mirrors = tuple(settings.engine_registry_mirrors)
    if registry_of(reference) != registry_of(settings.image_reference):
        return Registry(mirrors=mirrors)
    ca = settings.image_registry_ca
    return Registry(
        endpoint=settings.image_registry_endpoint or None,
        user=settings.image_registry_user or None,
        password=secrets.registry or None,
        ca=Path(ca).expanduser() if ca else None,
        mirrors=mirrors,
    )
