"""The root file system that the lab's images share: Debian with Python, and little else."""

from __future__ import annotations

from tests.lab import debian_root
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
        with step(f"image root: mmdebstrap {SUITE} with {PACKAGES}", announce=True):
            hook = f"--customize-hook={FINISH}"
            debian_root.make(tar, SUITE, PACKAGES, "essential", [hook])
    with tar.open("rb") as stream:
        return layer_of_tar(stream, key)
