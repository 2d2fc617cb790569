"""What ``dockerd --validate`` lets pass and the engine then refuses to start with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

BUILT_IN_RUNTIMES = frozenset({"runc", "io.containerd.runc.v2"})

KEY_OF_FLAG = {
    "-H": "hosts",
    "--host": "hosts",
    "-D": "debug",
    "-l": "log-level",
    "-s": "storage-driver",
    "-b": "bridge",
    "-G": "group",
    "-p": "pidfile",
    "--cdi-spec-dir": "cdi-spec-dirs",
    "--default-address-pool": "default-address-pools",
    "--dns-opt": "dns-opts",
    "--exec-opt": "exec-opts",
    "--insecure-registry": "insecure-registries",
    "--label": "labels",
    "--log-opt": "log-opts",
    "--registry-mirror": "registry-mirrors",
    "--storage-opt": "storage-opts",
}
"""The key of daemon.json that a flag sets, where it is not the flag's own name.

Source: moby, ``cmd/dockerd/config.go`` and ``config_unix.go``.
"""


def problems(settings: Mapping[str, Any], unit_flags: str) -> list[str]:
    """List what keeps the engine from starting with these settings and its unit's flags.

    `unit_flags` is the command line of the unit, its environment files already filled in. Whether
    keys and types are right is ``dockerd --validate``'s to say.
    """
    return [*_runtimes(settings), *_twice(settings, unit_flags)]


def _runtimes(settings: Mapping[str, Any]) -> list[str]:
    runtimes = settings.get("runtimes")
    named = set(runtimes) if isinstance(runtimes, Mapping) else set()
    found = [
        f"daemon.json: runtimes.{name}: is a name the engine keeps for itself, call it otherwise"
        for name in sorted(named & BUILT_IN_RUNTIMES)
    ]
    default = settings.get("default-runtime")
    if isinstance(default, str) and default and not _known(default, named):
        known = ", ".join(sorted(named | {"runc"}))
        found.append(f"daemon.json: default-runtime: should be one of {known}, got {default!r}")
    return found


def _known(runtime: str, named: set[str]) -> bool:
    return runtime in named | BUILT_IN_RUNTIMES or runtime.startswith("io.containerd.")


def _twice(settings: Mapping[str, Any], unit_flags: str) -> list[str]:
    return [
        f"daemon.json: {key}: is set here and as {flag} in the engine's unit, remove one of them"
        for key, flag in _keys(unit_flags).items()
        if key in settings
    ]


def _keys(unit_flags: str) -> dict[str, str]:
    """Map keys to the flag that sets them; runtimes may be given both ways."""
    try:
        words = shlex.split(unit_flags)
    except ValueError:
        words = unit_flags.split()
    flags = [_flag(word) for word in words if word.startswith("-") and len(word.strip("-")) > 0]
    return {KEY_OF_FLAG.get(flag, flag.lstrip("-")): flag for flag in flags}


def _flag(word: str) -> str:
    return word.split("=", 1)[0] if word.startswith("--") else word[:2]
