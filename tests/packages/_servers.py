"""Real servers for the tests: HTTPS with an authority of its own, and a registry with logins."""

from __future__ import annotations

import base64
import hashlib
import http.server
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

USER, PASSWORD = "me", "correct horse"
HTPASSWD = "me:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"  # bcrypt of PASSWORD
Handler = http.server.BaseHTTPRequestHandler


@dataclass(frozen=True)
class Authority:
    """A certificate authority and a certificate for this machine, as files."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def make_authority(folder: Path) -> Authority:
    """Make one that Python 3.13 takes, too: its default is VERIFY_X509_STRICT (RFC 5280: key identifiers, usage)."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)

    def certificate(name: str, issuer: str, public: ec.EllipticCurvePublicKey, signer: ec.EllipticCurvePrivateKey):  # type: ignore[no-untyped-def]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if name == issuer:
            uses = dict.fromkeys(USES, False) | {"key_cert_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**uses), critical=True)
        else:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "ca.pem").write_bytes(certificate("test authority", "test authority", authority.public_key(), authority))
    (folder / "server.pem").write_bytes(certificate("localhost", "test authority", server.public_key(), authority))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Authority(folder)


@dataclass
class Site:
    """A web server in a thread: what it serves, and what it was asked."""

    url: str
    pages: dict[str, bytes | Callable[[Handler], None]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, headers


@contextmanager
def site(authority: Authority | None = None) -> Iterator[Site]:
    """Serve pages by https, or by http without an authority; it ends with the block."""

    class Served(Handler):
        def do_GET(self) -> None:
            found.asked.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
            page = found.pages.get(urlsplit(self.path).path)
            if callable(page):
                page(self)
            elif page is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients that hang up are what the tests are about."""

    server = Server(("127.0.0.1", 0), Served)
    if authority:
        server.socket = authority.context().wrap_socket(server.socket, server_side=True)
    found = Site(f"{'https' if authority else 'http'}://localhost:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class RegistryServer:
    """A registry over a folder."""

    host: str
    folder: Path

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob, to meddle with."""
        value = digest.removeprefix("sha256:")
        return self.folder / "docker" / "registry" / "v2" / "blobs" / "sha256" / value[:2] / value / "data"

    def retag(self, repository: str, tag: str, digest: str) -> None:
        """Move a tag, as whoever owns the registry can."""
        base = self.folder / "docker" / "registry" / "v2" / "repositories" / repository / "_manifests" / "tags" / tag
        (base / "current" / "link").write_text(digest)


@contextmanager
def registry(folder: Path, *, auth: str, tls: Authority | None = None) -> Iterator[RegistryServer]:
    """Run Debian's docker-registry over a folder, as a process of its own; it ends with the block."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no docker-registry: on Debian, apt-get install docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "htpasswd").write_text(HTPASSWD)
    config = ["version: 0.1", "log: {level: error}"]
    config += [f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}"]
    config += [f"http: {{addr: '127.0.0.1:{port}', relativeurls: true"]
    config[-1] += f", tls: {{certificate: {tls.certificate}, key: {tls.key}}}}}" if tls else "}"
    config += [f"auth: {auth.format(folder=folder)}"]
    (folder / "config.yml").write_text("\n".join(config))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log) as child,
    ):
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert child.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield RegistryServer(f"localhost:{port}", folder / "data")
        finally:
            child.kill()


BASIC = "{{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}"


@contextmanager
def token_service(folder: Path, authority: Authority) -> Iterator[tuple[Site, str]]:
    """Give out tokens for USER, as a registry's login service does; yields it and the registry's `auth`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tokens.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()

    def part(value: object) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def give(handler: Handler) -> None:
        asked = parse_qs(urlsplit(handler.path).query)
        is_known = handler.headers.get("Authorization", "") == (
            "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        )
        if handler.command == "POST":
            form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
            asked, is_known = form, form.get("refresh_token") == [PASSWORD]
        if not is_known:
            handler.send_error(401)
            return
        access = []
        for scope in asked.get("scope", []):
            kind, repository, actions = scope.split(":")
            access.append({"type": kind, "name": repository, "actions": actions.split(",")})
        seconds = int(time.time())
        claims = {"iss": "tests", "sub": USER, "aud": "registry", "iat": seconds, "nbf": seconds - 60}
        claims |= {"exp": seconds + 600, "jti": hashlib.sha256(str(seconds).encode()).hexdigest()[:8], "access": access}
        text = f"{part({'typ': 'JWT', 'alg': 'RS256', 'x5c': [chain]})}.{part(claims)}"
        signed = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        body = json.dumps({"token": f"{text}.{part(signed)}"}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with site(authority) as found:
        found.pages["/token"] = give
        auth = f"{{{{token: {{{{realm: '{found.url}/token', service: registry, issuer: tests, "
        yield found, auth + f"rootcertbundle: {folder}/tokens.pem}}}}}}}}"
