"""What the settings and the lock have to say about what stays."""

from dataclasses import dataclass

from gpuhost.lock import Lock
from gpuhost.planning.image import familiar, repository
from gpuhost.settings import Settings


@dataclass(frozen=True)
class Rules:
    """Repositories as `docker image ls` shows them; digests as `sha256:...`."""

    repositories: frozenset[str]
    """Where our images come from."""
    instances: frozenset[str]
    """Those that the settings name."""
    keep: int = 2
    keep_failed_days: int = 7
    pinned: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    """What the references of the settings mean now."""
    build_cache_gb: int = 0
    """0 leaves it alone."""
    now: float | None = None
    """Seconds since the epoch; None takes the host's own clock."""


def rules_of(settings: Settings, lock: Lock) -> Rules:
    """The rules that settings and lock make for one host."""
    references = {settings.image_reference, settings.toolkit_probe_image}
    return Rules(
        repositories=frozenset({familiar(repository(settings.image_reference))}),
        instances=frozenset(one.name for one in settings.webui_instances),
        keep=settings.prune_keep,
        keep_failed_days=settings.prune_keep_failed_days,
        pinned=frozenset(settings.prune_pinned),
        locked=frozenset(
            image.digest for image in lock.images.values() if image.reference in references
        ),
        build_cache_gb=settings.prune_build_cache_gb,
    )
