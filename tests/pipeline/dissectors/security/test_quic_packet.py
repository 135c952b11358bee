"""Long headers and Initial protection, with the vectors of RFC 9001 and RFC 9369."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.security._quic_packet import (
    crypto_frames,
    initial_keys,
    is_known_version,
    read_headers,
    unprotected,
)

from ._quic import crypto, initial, long_packet, negotiation, retry

DCID = bytes.fromhex("8394c8f03e515708")
SERVER_INITIAL = bytes.fromhex(  # RFC 9001 §A.3
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3"
    "8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
    "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee"
)


def test_keys_of_rfc_9001() -> None:
    """§A.1."""
    client, server = initial_keys(1, DCID)
    assert client.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert client.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert client.header.hex() == "9f50449e04a0e810283a1e9933adedd2"
    assert server.key.hex() == "cf3a5331653c364c88f0f379b6067e37"
    assert server.iv.hex() == "0ac1493ca1905853b0bba03e"
    assert server.header.hex() == "c206b8d9b9f0f37644430b490eeaa314"


def test_keys_of_rfc_9369() -> None:
    """§A.1."""
    client, _ = initial_keys(0x6B33_43CF, DCID)
    assert client.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert client.iv.hex() == "91f73e2351d8fa91660e909f"
    assert client.header.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


def test_server_initial_of_rfc_9001() -> None:
    """§A.3: an ACK and a CRYPTO frame with the ServerHello."""
    (header,) = read_headers(SERVER_INITIAL)
    assert (header.type, header.version, header.dcid, header.scid.hex()) == ("Initial", 1, b"", "f067a5502a4262b5")
    payload = unprotected(SERVER_INITIAL, header, initial_keys(1, DCID)[1])
    assert payload
    assert payload.hex().startswith("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739")
    ((offset, hello),) = crypto_frames(payload, 1)
    assert (offset, len(hello), hello[0]) == (0, 90, 2)
    assert unprotected(SERVER_INITIAL, header, initial_keys(1, DCID)[0]) is None


@pytest.mark.parametrize("version", [1, 0x6B33_43CF, 0xFF00_0016, 0xFF00_0017, 0xFF00_001D, 0xFF00_0021, 0xFACE_B001])
def test_round_trip(version: int) -> None:
    keys = initial_keys(version, DCID)[0]
    data = initial(keys, crypto(b"hello"), version=version, dcid=DCID, scid=b"s", token=b"token", number=300, size=900)
    (header,) = read_headers(data)
    assert (header.type, header.token, header.end) == ("Initial", b"token", len(data))
    payload = unprotected(data, header, keys)
    assert payload
    assert list(crypto_frames(payload, version)) == [(0, b"hello")]


def test_coalesced_packets() -> None:
    keys = initial_keys(1, DCID)[0]
    one = initial(keys, crypto(b"one"), dcid=DCID, size=40)
    handshake = long_packet(0xE0, 1, b"d", b"s", b"\x05abcde")
    assert [(header.type, header.start) for header in read_headers(one + handshake + b"\x40short")] == [
        ("Initial", 0),
        ("Handshake", len(one)),
    ]


def test_retry_and_negotiation() -> None:
    (header,) = read_headers(retry(1, b"d", b"s", b"token"))
    assert (header.type, header.token) == ("Retry", b"token")
    (header,) = read_headers(negotiation(b"d", b"s", 1, 0x0A0A_0A0A))
    assert (header.type, header.versions) == ("Version Negotiation", (1, 0x0A0A_0A0A))


@pytest.mark.parametrize(
    "data",
    [
        long_packet(0xC0, 0x1234_5678, b"", b"", b"\0\x05abcde"),
        long_packet(0xC0, 1, bytes(21), b"", b"\0\x05abcde"),
        negotiation(b"d", b"s"),
        negotiation(b"d", b"s", 1) + b"x",
        b"\x80",
        b"",
    ],
    ids=["version", "long id", "no versions", "odd", "short", "nothing"],
)
def test_what_is_no_packet(data: bytes) -> None:
    assert list(read_headers(data)) == []


def test_versions() -> None:
    known = [1, 0x6B33_43CF, 0xFF00_001D, 0xFACE_B002, 0x5130_3530, 0x5430_3531]
    assert all(map(is_known_version, known))
    assert not any(map(is_known_version, [0, 2, 0xFF00_0015, 0xFF00_0023, 0x5130_3433]))
    for version in known:
        assert len(initial_keys(version, DCID)) == 2


def test_frames() -> None:
    ack = b"\x02\x05\x00\x01\x00\x00\x00"
    counted = b"\x03\x05\x00\x00\x00\x01\x01\x01"
    frames = b"\0\1" + ack + crypto(b"b", 1) + counted + crypto(b"a") + b"\x1c\0\0\0" + crypto(b"never")
    assert list(crypto_frames(frames, 1)) == [(1, b"b"), (0, b"a")]
    assert list(crypto_frames(crypto(b"whole") + crypto(b"cut")[:-1], 1)) == [(0, b"whole")]
    assert list(crypto_frames(b"\x02\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 1)) == []


@given(st.binary(max_size=200), st.sampled_from([1, 0x6B33_43CF, 0x5130_3530]))
def test_any_bytes(data: bytes, version: int) -> None:
    list(crypto_frames(data, version))
    for packet in (data, long_packet(0xC0, version, b"d", b"s", data)):
        for header in read_headers(packet):
            assert 0 <= header.start < header.end <= len(packet)
            assert unprotected(packet, header, initial_keys(version, b"d")[0]) is None
