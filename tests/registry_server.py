"""A registry on loopback that serves what a test puts into it, and misbehaves on request."""

import datetime
import hashlib
import ipaddress
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OCI = "application/vnd.oci.image.{}.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.{}.v2+json"


@dataclass
class Fault:
    """The next `times` requests whose path holds `path` get this answer instead."""

    path: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def diff_ids(layers: tuple[int, ...]) -> list[str]:
    """Digests of the unpacked layers that have these compressed sizes."""
    return [f"sha256:{hashlib.sha256(str(size).encode()).hexdigest()}" for size in layers]


@dataclass
class Content:
    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the tests."""


class Registry:
    """`auth` is none, basic or token; `seen` lists (method, path, authorization)."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.content: dict[str, Content] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, str | None]] = []
        self.auth = "none"
        self.realm: str | None = None
        self.basic = "Basic bGFiOnM0Y3JldHBhc3M="  # lab:s4cretpass
        self.says_digest = True
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def put(self, path: str, document: object, media_type: str = "application/json") -> Content:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        content = Content(media_type, body)
        self.content[path] = content
        return content

    def image(
        self, name: str, tag: str | None, config: object, layers: tuple[int, ...] = (10, 20)
    ) -> Content:
        """Put one image, with as many diff_ids as layers; the answer is its manifest."""
        if isinstance(config, dict):
            config = {"rootfs": {"type": "layers", "diff_ids": diff_ids(layers)}, **config}
        blob = Content(OCI.format("config"), json.dumps(config).encode())
        self.content[f"/v2/{name}/blobs/{blob.digest}"] = blob
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI.format("manifest"),
            "config": {"mediaType": blob.media_type, "digest": blob.digest, "size": 1},
            "layers": [{"digest": f"sha256:{size:064}", "size": size} for size in layers],
        }
        return self.manifest(name, tag, manifest, OCI.format("manifest"))

    def index(
        self, name: str, tag: str, images: dict[str, Content], media_type: str = OCI.format("index")
    ) -> Content:
        """Put an index of images by ``os/architecture[/variant]``."""
        keys = ("os", "architecture", "variant")
        entries = [
            {"digest": image.digest, "platform": dict(zip(keys, name.split("/"), strict=False))}
            for name, image in images.items()
        ]
        return self.manifest(name, tag, {"schemaVersion": 2, "manifests": entries}, media_type)

    def manifest(self, name: str, tag: str | None, document: object, media_type: str) -> Content:
        content = Content(media_type, json.dumps(document).encode())
        self.content[f"/v2/{name}/manifests/{content.digest}"] = content
        if tag:
            self.content[f"/v2/{name}/manifests/{tag}"] = content
        return content


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, held = urlsplit(self.path).path, self.headers.get("Authorization")
            registry.seen.append((self.command, self.path, held))
            if fault := next((f for f in registry.faults if f.path in path and f.times), None):
                fault.times -= 1
                self._answer(fault.status, fault.body, fault.headers)
            elif path == "/token":
                self._token(held)
            elif challenge := self._challenge(held):
                self._answer(
                    401, _errors("UNAUTHORIZED", "log in"), {"WWW-Authenticate": challenge}
                )
            elif content := registry.content.get(path):
                digest = {"Docker-Content-Digest": content.digest} if registry.says_digest else {}
                headers = {"Content-Type": content.media_type, **digest}
                self._answer(200, content.body, headers)
            else:
                self._answer(404, _errors("MANIFEST_UNKNOWN", "manifest unknown"), {})

        do_HEAD = do_GET

        def _challenge(self, held: str | None) -> str | None:
            if registry.auth == "basic" and held != registry.basic:
                return 'Basic realm="lab"'
            if registry.auth == "token" and held != "Bearer t0ken":
                realm = registry.realm or f"{registry.url}/token"
                return f'Bearer realm="{realm}",service="lab",scope="repository:app:pull"'
            return None

        def _token(self, held: str | None) -> None:
            query = parse_qs(urlsplit(self.path).query)
            assert query == {"service": ["lab"], "scope": ["repository:app:pull"]}
            if held in (None, registry.basic):
                self._answer(200, b'{"token": "t0ken", "expires_in": 60}', {})
            else:
                self._answer(401, _errors("UNAUTHORIZED", f"no: {held}"), {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _errors(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """Make an authority and a server certificate for 127.0.0.1: (authority, server with key)."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("gpuhost test CA", authority_key, "gpuhost test CA", authority_key)
    server = _certificate("registry", server_key, "gpuhost test CA", authority_key)
    pem = serialization.Encoding.PEM
    key = server_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem) + key)
    return folder / "ca.pem", folder / "server.pem"


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=key is issuer_key, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName([address]), False)
        .add_extension(subject, False)
        .add_extension(identifier, False)
        .sign(issuer_key, hashes.SHA256())
    )
