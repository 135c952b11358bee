"""TLS connections between two ends of the standard library (OpenSSL): the bytes of both sides, and their key log."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.core_capture.reference._packets import RAW, A, B, record, tcp

__all__ = ["NO_ENCRYPT_THEN_MAC", "NO_EXTENDED_MASTER_SECRET", "Exchange", "certificate_file", "exchange"]

NO_EXTENDED_MASTER_SECRET = 1 << 0  # SSL_OP_NO_EXTENDED_MASTER_SECRET
NO_ENCRYPT_THEN_MAC = 1 << 19  # SSL_OP_NO_ENCRYPT_THEN_MAC
CLIENT, SERVER = 0, 1
PCAP_HEADER = pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, RAW)
START_NS, MS = 1_773_525_780_000_000_000, 1_000_000


@cache
def _pem(kind: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private


def certificate_file(folder: Path, kind: str = "ec") -> Path:
    """Write a private key and its self-signed certificate for shop.example into one PEM file."""
    path = folder / f"{kind}.pem"
    path.write_bytes(_pem(kind))
    return path


@dataclass
class Exchange:
    """What both sides sent, encrypted, and the key log."""

    sides: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])
    turns: list[tuple[int, int, int]] = field(default_factory=list)
    keys: str = ""
    version: str = ""
    suite: str = ""

    def add(self, direction: int, data: bytes) -> None:
        if data:
            side = self.sides[direction]
            self.turns.append((direction, len(side), len(side) + len(data)))
            side += data

    def pcap(self, port: int = 443, client: int = 40_000) -> bytes:
        """Return a capture of the connection: one packet for each time something was sent, a millisecond apart."""
        packets = [tcp(b"", 999, "S", (client, port)), tcp(b"", 8_999, "SA", (port, client), (B, A))]
        for direction, start, end in self.turns:
            ports, ends = ((client, port), (A, B)) if direction == CLIENT else ((port, client), (B, A))
            first = 1_000 if direction == CLIENT else 9_000
            packets += [
                tcp(bytes(self.sides[direction][at : min(end, at + 1_400)]), first + at, "PA", ports, ends)
                for at in range(start, end, 1_400)
            ]
        return PCAP_HEADER + b"".join(record(each, START_NS + at * MS) for at, each in enumerate(packets))


def exchange(
    messages: Sequence[tuple[int, bytes]],
    *,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ciphers: str = "",
    key: str = "ec",
    options: int = 0,
    alpn: Sequence[str] = (),
    prepare: Callable[[ssl.SSLContext, ssl.SSLContext], None] = lambda client, server: None,
    session: ssl.SSLSession | None = None,
) -> Exchange:
    """Connect, say the messages (direction, data) in turn, close."""
    found = Exchange()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "keys.log"
        client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        server.load_cert_chain(certificate_file(Path(folder), key))
        for context in (client, server):
            context.minimum_version = context.maximum_version = version
            context.options |= options
            if ciphers:
                context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
            if alpn:
                context.set_alpn_protocols(list(alpn))
        client.keylog_filename = str(log)
        prepare(client, server)
        _talk(found, client, server, messages, session)
        found.keys = log.read_text()
    return found


def _talk(
    found: Exchange,
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    messages: Sequence[tuple[int, bytes]],
    session: ssl.SSLSession | None,
) -> None:
    inward, outward = [ssl.MemoryBIO(), ssl.MemoryBIO()], [ssl.MemoryBIO(), ssl.MemoryBIO()]
    ends = (
        client.wrap_bio(inward[0], outward[0], server_hostname="shop.example", session=session),
        server.wrap_bio(inward[1], outward[1], server_side=True),
    )

    def pump() -> None:
        for way in range(2):
            data = outward[way].read()
            found.add(way, data)
            inward[1 - way].write(data)

    done = [False, False]
    while not all(done):
        for way in range(2):
            try:
                ends[way].do_handshake()
                done[way] = True
            except ssl.SSLWantReadError:
                pass
            pump()
    found.version, found.suite = ends[0].version() or "", (ends[0].cipher() or ("",))[0]
    for way, data in messages:
        ends[way].write(data)
        pump()
        got = b""
        while len(got) < len(data):
            got += ends[1 - way].read(len(data))
        assert got == data
