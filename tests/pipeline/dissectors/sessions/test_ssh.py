"""SSH's clear beginning; packets made by hand from RFC 4253."""

from __future__ import annotations

import hashlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.sessions import ssh

from .._streams import FakeStream, tcp

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
SERVER_BANNER = b"SSH-2.0-dropbear_2022.83\r\n"


def text(value: bytes) -> bytes:
    return pack(">I", len(value)) + value


def packet(number: int, payload: bytes) -> bytes:
    padding = 4 + -(6 + len(payload)) % 8
    return pack(">IBB", len(payload) + 2 + padding, padding, number) + payload + bytes(padding)


def kexinit(kex: bytes, cipher: bytes) -> bytes:
    lists = (kex, b"ssh-ed25519", cipher, cipher, b"hmac-sha2-256", b"hmac-sha1", b"none", b"none", b"", b"")
    return packet(20, bytes(16) + b"".join(map(text, lists)) + bytes(5))


CLIENT = BANNER + kexinit(b"curve25519-sha256,ecdh", b"chacha20,aes128-ctr") + packet(30, text(bytes(32)))
HOST_KEY = text(b"ssh-ed25519") + text(bytes(32))
SERVER = (
    SERVER_BANNER + kexinit(b"ecdh", b"aes128-ctr,chacha20") + packet(31, text(HOST_KEY) + text(b"f")) + packet(21, b"")
)


def found_in(stream: FakeStream) -> list[Message]:
    return list(ssh.dissect(ssh.SSH, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return ssh.probe(ssh.SSH, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_handshake() -> None:
    found = found_in(tcp(CLIENT + packet(21, b"") + b"encrypted", SERVER, port=22))
    assert [(part.key, part.direction) for part in found] == [
        ("identification", 0),
        ("identification", 1),
        ("algorithms", 0),
        ("algorithms", 1),
        ("key exchange", 0),
        ("key exchange", 1),
    ]
    client, server, offer, answer, asked, replied = found
    assert client.fields["ssh_client_software"] == "OpenSSH_9.2p1"
    assert (server.fields["ssh_server_software"], server.fields["ssh_software"]) == (
        "dropbear_2022.83",
        "dropbear_2022.83",
    )
    assert document(client)["comment"] == "Debian-2"
    chosen = {
        "ssh_kex": "ecdh",
        "ssh_host_key_algorithm": "ssh-ed25519",
        "ssh_cipher": "chacha20",
        "ssh_mac": "hmac-sha2-256",
        "ssh_compression": "none",
    }
    assert chosen.items() <= offer.fields.items()
    assert chosen.items() <= answer.fields.items()
    hassh = hashlib.md5(b"curve25519-sha256,ecdh;chacha20,aes128-ctr;hmac-sha2-256;none").hexdigest()
    assert offer.fields["ssh_hassh"] == hassh
    hassh_server = hashlib.md5(b"ecdh;aes128-ctr,chacha20;hmac-sha1;none").hexdigest()
    assert answer.fields["ssh_hassh_server"] == hassh_server
    assert document(offer)["kex"] == ["curve25519-sha256", "ecdh"]
    assert str(replied.fields["ssh_host_key_fingerprint"]).startswith("SHA256:")
    assert (asked.kind, replied.kind) == (MessageKind.REQUEST, MessageKind.RESPONSE)


def test_who_speaks_first_asks() -> None:
    stream = tcp(BANNER, SERVER_BANNER, port=22)
    stream.sides[0].times = ((0, 9),)
    stream.sides[0].packet_at = lambda offset: 9  # type: ignore[method-assign]
    stream.sides[1].packet_at = lambda offset: 1  # type: ignore[method-assign]
    assert [(part.kind, part.direction) for part in found_in(stream)] == [
        (MessageKind.REQUEST, 1),
        (MessageKind.RESPONSE, 0),
    ]


def test_one_side_alone() -> None:
    found = found_in(tcp(b"", SERVER, port=22))
    assert [part.kind for part in found] == [MessageKind.REQUEST, MessageKind.REQUEST, MessageKind.RESPONSE]
    assert "ssh_kex" not in found[1].fields


def test_lines_before_the_identification() -> None:
    stream = tcp(b"", b"Welcome\r\nto this\r\n" + SERVER_BANNER, port=22)
    assert is_mine(stream)
    (found,) = found_in(stream)
    assert (found.start, found.end) == (18, 18 + len(SERVER_BANNER))


def test_version_one_has_no_packets() -> None:
    assert len(found_in(tcp(b"SSH-1.5-old\r\n" + CLIENT[len(BANNER) :], port=22))) == 1


def test_packets_that_are_cut_or_wrong() -> None:
    (_, found) = found_in(tcp(CLIENT[:90], port=22))
    assert found.error == f"truncated: the lists of algorithms do not fit into {90 - len(BANNER)} bytes"
    (_, found) = found_in(tcp(BANNER + packet(20, bytes(30)), port=22))
    assert found.error.startswith("malformed: the lists")
    assert len(found_in(tcp(BANNER + b"\xff" * 40, port=22))) == 1


def test_gap_ends_the_packets() -> None:
    at = len(BANNER) + 30
    assert [part.error[:9] for part in found_in(tcp(CLIENT, port=22, gaps={0: [(at, at + 4, 4)]}))] == [
        "",
        "truncated",
    ]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (BANNER, b"", 9999, True),
        (b"", SERVER_BANNER, 9999, True),
        (b"", b"hello\r\n" + SERVER_BANNER, 9999, False),
        (b"SSH-", b"", 22, False),
        (b"GET / HTTP/1.1\r\n", b"", 22, False),
        (b"", b"", 22, False),
    ],
    ids=["client", "server", "late", "cut", "http", "nothing"],
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


@given(st.binary(max_size=80), st.integers(0, len(SERVER)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    stream = tcp(CLIENT[:at] + junk + CLIENT[at:], SERVER[:at] + junk + SERVER[at:], port=22, midway=midway)
    is_mine(stream)
    for found in found_in(stream):
        assert 0 <= found.start < found.end
        document(found)
