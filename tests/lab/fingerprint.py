"""What a user put onto a host, file by file, to compare before and after."""

from __future__ import annotations

import shlex

from tests.lab.host import LabHost

FOLDERS = ("outputs", "models")


def storage_fingerprint(host: LabHost, path: str, *files: str) -> dict[str, str]:
    """The sha256 of each file below `path`: of those given, or of all in outputs/ and models/."""
    names = " -o ".join(f"-path '*/{folder}/*'" for folder in FOLDERS)
    find = f"find . -type f \\( {names} \\) -print0 | xargs -0r sha256sum"
    given = " ".join(shlex.quote(f"./{file}") for file in files)
    order = f"sha256sum -- {given}" if files else find
    done = host.run(f"cd {shlex.quote(path)} && {order}", check=True)
    found = (line.split("  ", 1) for line in done.out.splitlines())
    return {name.removeprefix("./"): digest for digest, name in sorted(found, key=lambda x: x[1])}
