"""Who the lab is: its SSH key, its certificate authority, its registry's login and certificate."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.lab import machine
from tests.lab.places import STATE, cache, recipe_hash, write_atomically

REGISTRY_NAME = "registry.gpuhost.test"
REGISTRY_ADDRESS = "127.0.77.2"
REGISTRY_USER = "lab"
CERTIFIED = {REGISTRY_NAME: REGISTRY_ADDRESS, "faulty.gpuhost.test": "127.0.77.4"}
"""Names and addresses for which the lab's one certificate is good."""
YEARS = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Identity:
    """Files of the lab's identity, shared by all clones; `.lab/` holds copies of some."""

    folder: Path

    @property
    def key(self) -> Path:
        """The private SSH key."""
        return self.folder / "id_ed25519"

    @property
    def ca(self) -> Path:
        """The certificate of the lab's authority."""
        return self.folder / "ca.pem"

    @property
    def registry(self) -> Path:
        """The folder that the registry mounts: certificate, key, htpasswd."""
        return self.folder / "registry"

    @property
    def password(self) -> Path:
        """The registry's password."""
        return self.folder / "registry-password"


def ensure() -> Identity:
    """Make what is missing and copy to `.lab/` what is read there."""
    identity = Identity(cache() / "identity")
    identity.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _ssh_key(identity)
    if not identity.password.exists():
        _password(identity)
    complete = identity.registry / f"complete-{recipe_hash(repr(CERTIFIED))}"
    if not complete.exists():
        _certificates(identity)
        write_atomically(complete, "")
    for path in (identity.key, identity.password, identity.ca):
        _copy(path, 0o600 if path != identity.ca else 0o644)
    _copy(identity.key.with_suffix(".pub"), 0o644)
    _webui_password()
    return identity


def _webui_password() -> None:
    """The password of the instances that the lab's inventory publishes openly."""
    path = STATE / "webui-password"
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(12), 0o600)


def _copy(path: Path, mode: int) -> None:
    copy = STATE / path.name
    if not copy.exists() or copy.read_bytes() != path.read_bytes():
        write_atomically(copy, path.read_bytes(), mode)


def _ssh_key(identity: Identity) -> None:
    if identity.key.exists() and identity.key.with_suffix(".pub").exists():
        return
    machine.need({"ssh-keygen": "openssh-client"}, "logging in to lab hosts")
    identity.key.unlink(missing_ok=True)
    generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpuhost-lab"]
    subprocess.run([*generate, "-f", str(identity.key)], check=True)


def _password(identity: Identity) -> None:
    password = secrets.token_urlsafe(18)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()
    write_atomically(identity.registry / "htpasswd", f"{REGISTRY_USER}:{hashed}\n")
    write_atomically(identity.password, password, 0o600)


def _certificates(identity: Identity) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("gpuhost lab CA")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_key_id(ca_key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in CERTIFIED]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in CERTIFIED.values()]
    certificate = (
        _builder(_name(REGISTRY_NAME), ca_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_key_id(key), critical=False)
        .add_extension(signed_by, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(identity.registry / "key.pem", private, 0o600)
    write_atomically(identity.registry / "certificate.pem", certificate.public_bytes(pem))
    write_atomically(identity.ca, ca.public_bytes(pem))


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + YEARS)
    )
