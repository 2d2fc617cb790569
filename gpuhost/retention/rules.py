"""What the settings and the lock have to say about what stays."""

from dataclasses import dataclass


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
    build_cache_gb: int = 0
    """0 leaves it alone."""
    now: float | None = None
    """Seconds since the epoch; None takes the host's own clock."""
