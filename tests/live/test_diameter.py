"""Two real Diameter peers (freeDiameter): they meet, and say goodbye."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ._relay import Relay
from ._servers import free_port, need, running

CONFIGURATION = """
Identity = "{name}.example";
Realm = "example";
Port = {port};
SecPort = 0;
No_SCTP;
No_IPv6;
ListenOn = "127.0.0.1";
TcTimer = 1;
TLS_Cred = "{certificate}", "{certificate}";
TLS_CA = "{certificate}";
ConnectPeer = "{peer}.example" {{ ConnectTo = "127.0.0.1"; Port = {peer_port}; No_TLS; No_SCTP; }};
"""


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for both peers; a peer refuses to start without, though it never uses them here."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.DNSName("server.example"), x509.DNSName("client.example")])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "peers.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    path.write_bytes(private + made.public_bytes(pem))
    return path


def configuration(certificate: Path, name: str, port: int, peer: str, peer_port: int) -> Path:
    path = certificate.with_name(f"{name}.conf")
    settings = {"name": name, "port": port, "peer": peer, "peer_port": peer_port}
    path.write_text(CONFIGURATION.format(**settings, certificate=certificate))
    return path


def test_peers(tmp_path: Path) -> None:
    daemon = need("freeDiameterd", "freediameterd")
    ports = free_port(), free_port()
    pem = certificate(tmp_path)
    server = configuration(pem, "server", ports[0], "client", free_port())
    with running([daemon, "-c", server], ports[0]), Relay(ports[0], shown_port=3868) as relay:
        client = configuration(pem, "client", ports[1], "server", relay.port)
        with running([daemon, "-c", client], ports[1]):
            deadline = time.monotonic() + 8
            while relay.pcap.count(b"server.example") < 1 and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.2)
    entries = relay.entries("diameter")
    methods = [(entry.get("diameter_method"), entry.get("diameter_result_code")) for entry in entries]
    assert methods == [("Capabilities-Exchange", 2001), ("Disconnect-Peer", 2001)]
    assert [entry.error for entry in entries] == [None, None]
    assert entries[0].get("diameter_origin_host") == "client.example"
    document = entries[0].to_dict()
    asked = {avp["name"]: avp["value"] for avp in document["request"]["avps"]}
    assert asked["Product-Name"] == "freeDiameter"
    ip_address(asked["Host-IP-Address"])
