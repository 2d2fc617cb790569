"""Compare a wanted file with the one that is there."""

import hashlib

from gpuhost.actions import WriteFile
from gpuhost.state import HostState


def drift(state: HostState, wanted: WriteFile) -> str:
    """What is there instead of the wanted file, in a word or two; "" when it is right."""
    found = state.file(wanted.path)
    if found.kind != "file":
        return found.kind
    if found.sha256 != hashlib.sha256(wanted.content).hexdigest():
        return "different"
    if found.mode != wanted.mode:
        return f"mode {found.mode:04o}"
    return f"owner {found.owner}" if found.owner != wanted.owner else ""
