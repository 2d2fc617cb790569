"""The lab's services: an image registry with login, and signed apt repositories."""

from __future__ import annotations

from typing import Any


def ensure() -> dict[str, Any]:
    """Have the services running; their part of lab.json."""
    return {}


def remove() -> None:
    """Remove the services."""
