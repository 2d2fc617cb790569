"""What a host remembers of its instances, as the probe brought it along."""

import json
from pathlib import Path
from typing import Any

from gpuhost.hostside.journal import Journal
from gpuhost.hostside.places import Places
from gpuhost.hostside.records import Proven, Quarantined, proven, quarantined
from gpuhost.state import HostState


def recorded(instance: str) -> tuple[Path, ...]:
    """The files that planning reads."""
    here = Places(instance)
    return here.journal, here.proven, here.quarantine


def proven_releases(state: HostState, instance: str) -> list[Proven]:
    """Releases that passed their gates on this host, newest first."""
    return proven(_document(state, Places(instance).proven))


def quarantined_releases(state: HostState, instance: str) -> list[Quarantined]:
    """Releases that failed one."""
    return quarantined(_document(state, Places(instance).quarantine))


def journal(state: HostState, instance: str) -> Journal | None:
    """The last switch, or the one under way."""
    return Journal.from_json(_document(state, Places(instance).journal))


def _document(state: HostState, path: Path) -> Any:
    try:
        return json.loads(state.file(str(path)).content or b"null")
    except ValueError:
        return None
