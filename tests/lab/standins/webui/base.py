"""The root file system that the lab's images share: Debian with Python, and little else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab import machine
from tests.lab.oci import Layer, layer_of_tar
from tests.lab.places import cache, recipe_hash
from tests.lab.steps import step

SUITE = "bookworm"
PACKAGES = "python3"
FINISH = """set -eu
echo 'runner:x:1000:1000::/home/runner:/bin/bash' >> "$1"/etc/passwd
echo 'runner:x:1000:' >> "$1"/etc/group
rm -rf "$1"/usr/share/perl "$1"/usr/share/perl5 "$1"/usr/lib/*/perl "$1"/usr/share/i18n
rm -rf "$1"/var/cache/* "$1"/var/lib/apt/* "$1"/var/log/* "$1"/etc/apt/sources.list*
rm -f "$1"/etc/hostname "$1"/etc/resolv.conf
"""


def layer() -> Layer:
    """The root as a layer, made by mmdebstrap once per recipe and kept in the cache."""
    key = f"base-{SUITE}-{recipe_hash(PACKAGES, FINISH)}"
    tar = cache() / "roots" / f"{key}.tar"
    if not tar.exists():
        machine.need({"mmdebstrap": "mmdebstrap"}, "making the root of the lab's images")
        with step(f"image root: mmdebstrap {SUITE} with {PACKAGES}", announce=True):
            _build(tar)
    with tar.open("rb") as stream:
        return layer_of_tar(stream, key)


def _build(tar: Path) -> None:
    tar.parent.mkdir(parents=True, exist_ok=True)
    part = tar.with_name(f".{tar.name}.{os.getpid()}")
    command = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=tar"]
    command += [f"--include={PACKAGES}", f"--keyring={machine.KEYRING}"]
    command += [f"--aptopt={line}" for line in machine.apt_options().splitlines()]
    command += [f"--dpkgopt=path-exclude=/usr/share/{x}/*" for x in ("doc", "man", "locale")]
    command += [f"--customize-hook={FINISH}", SUITE, str(part), "-"]
    sources = machine.sources(SUITE)
    done = subprocess.run(command, input=sources, capture_output=True, text=True)
    if done.returncode:
        part.unlink(missing_ok=True)
        tail = " | ".join(done.stderr.strip().splitlines()[-4:])
        raise machine.MachineError(f"image root: mmdebstrap: rc {done.returncode}: {tail}")
    part.replace(tar)
