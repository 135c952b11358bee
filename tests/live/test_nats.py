"""A real NATS server: verbose and quiet clients, headers, refused logins, the turn to TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ._relay import Relay
from ._servers import free_port, need, running


@pytest.fixture
def server() -> Iterator[int]:
    port = free_port()
    with running([need("nats-server"), "-a", "127.0.0.1", "-p", str(port), "--user", "ann", "--pass", "hunter2"], port):
        yield port


def talk(port: int, *turns: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for turn in (b"", *turns):
            client.sendall(turn)
            client.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                while client.recv(1 << 16):
                    pass


LOGIN = b'CONNECT {"verbose":%s,"headers":true,"user":"ann","pass":"%s"}\r\n'


def test_quiet(server: int) -> None:
    with Relay(server, shown_port=4222) as relay:
        head = b"NATS/1.0\r\nTrace: t-88\r\n\r\n"
        talk(
            relay.port,
            LOGIN % (b"false", b"hunter2") + b"PING\r\n",
            b"SUB stock.* workers 1\r\nPUB stock.low INBOX.1 2\r\nhi\r\n"
            + b"HPUB stock.high %d %d\r\n%sho\r\n" % (len(head), len(head) + 2, head),
            b"UNSUB 1\r\nPUB\r\n",
        )
    entries = relay.entries("nats")
    types = [(entry.get("nats_type"), entry.get("nats_subject")) for entry in entries]
    assert types[0] == ("INFO", "")
    assert {("MSG", "stock.low"), ("HMSG", "stock.high"), ("SUB", "stock.*"), ("UNSUB", "")} <= set(types)
    ping = next(entry for entry in entries if entry.get("nats_type") == "PING")
    assert ping.exchange.response
    assert "hunter2" not in str([entry.to_dict() for entry in entries])
    refused = [entry for entry in entries if entry.get("nats_error_message")]
    assert len(refused) == 1
    assert [entry.get("nats_type") for entry in entries if entry.error] == ["PUB"]  # `PUB` without arguments


def test_verbose(server: int) -> None:
    with Relay(server, shown_port=4222) as relay:
        talk(relay.port, LOGIN % (b"true", b"hunter2"), b"SUB a 1\r\n", b"PUB a 2\r\nhi\r\n", b"PING\r\n")
        talk(relay.port, LOGIN % (b"true", b"wrong"))
    entries = relay.entries("nats")
    asked = [entry for entry in entries if entry.get("nats_type") in ("CONNECT", "SUB", "PUB", "PING")]
    assert len(asked) == 5
    assert all(entry.exchange.response for entry in asked)
    assert asked[-1].get("nats_error_message") == "Authorization Violation"
    assert [entry.error for entry in entries] == [None] * len(entries)


def test_turn_to_tls(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    options = ["--tls", "--tlscert", certificate, "--tlskey", key]
    context = ssl.create_default_context(cafile=str(certificate))
    with (
        running([need("nats-server"), "-a", "127.0.0.1", "-p", str(port), *options], port),
        Relay(port) as relay,
        socket.create_connection(("127.0.0.1", relay.port), timeout=5) as plain,
    ):
        while not plain.recv(1).endswith(b"\n"):  # INFO
            pass
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
            assert client.recv(100)
    entries = relay.entries()
    assert [entry.get("nats_type") for entry in entries if entry.get("nats")] == ["INFO"]
    assert [entry.get("tlsx_sni") for entry in entries if entry.get("tlsx_sni")] == ["localhost"]


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that lasts an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
