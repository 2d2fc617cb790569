"""OpenPGP keys of the lab's apt repositories, and signatures with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab import machine
from tests.lab.places import cache, write_atomically

KEYS = ("docker", "nvidia", "debian", "stranger")


def ensure() -> dict[str, str]:
    """Have a key per name; their fingerprints, 40 hex digits."""
    machine.need({"gpg": "gnupg", "gpg-agent": "gpg-agent"}, "signing the lab's apt repositories")
    return {name: _fingerprint(name) for name in KEYS}


def public_key(name: str) -> str:
    """The public key in ASCII armour."""
    return _gpg("--armor", "--export", _fingerprint(name))


def sign_release(name: str, release: Path) -> None:
    """Write InRelease and Release.gpg beside a Release file."""
    common = ("--yes", "--armor", "--local-user", _fingerprint(name), "--output")
    _gpg(*common, str(release.with_name("InRelease")), "--clearsign", str(release))
    _gpg(*common, str(release.with_name("Release.gpg")), "--detach-sign", str(release))


def release_agent() -> None:
    """End the agent that gpg started for the lab's keys."""
    subprocess.run(["gpgconf", "--homedir", str(_home()), "--kill", "gpg-agent"], check=False)


def _fingerprint(name: str) -> str:
    path = _home() / f"{name}.fingerprint"
    if not path.exists():
        uid = f"gpuhost lab {name} <{name}@gpuhost.test>"
        listing = _gpg(
            "--passphrase", "", "--pinentry-mode", "loopback", "--status-fd", "1",
            "--quick-generate-key", uid, "rsa3072", "sign", "never",
        )  # fmt: skip
        created = next(line for line in listing.splitlines() if "KEY_CREATED" in line)
        write_atomically(path, created.split()[3])
    return path.read_text()


def _gpg(*arguments: str) -> str:
    command = ["gpg", "--homedir", str(_home()), "--batch", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise machine.MachineError(f"gpg: rc {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _home() -> Path:
    home = cache() / "identity" / "gnupg"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home
