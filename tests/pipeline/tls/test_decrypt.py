"""Decryption compared with what two OpenSSL ends really said, in every version and kind of cipher; then with losses."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import Handover
from kubeshark.pipeline.tls._decrypt import decrypt
from kubeshark.pipeline.tls._keylog import KeyLog

from ..dissectors._streams import FakeStream, tcp
from ._exchange import NO_ENCRYPT_THEN_MAC, NO_EXTENDED_MASTER_SECRET, Exchange, exchange

REQUEST, ANSWER = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256)) * 200
TALK = ((0, REQUEST), (1, ANSWER), (0, b"again"), (1, b"and again"))
SAID = [REQUEST + b"again", ANSWER + b"and again"]

MODERN = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-ECDSA-CAMELLIA256-SHA384",
    "ECDHE-ECDSA-NULL-SHA",
]


def stream_of(found: Exchange, gaps: dict[int, Sequence[tuple[int, int, int]]] | None = None) -> FakeStream:
    stream = tcp(bytes(found.sides[0]), bytes(found.sides[1]), port=443, gaps=gaps or {})
    stream.runs = found.turns
    return stream


def said(handover: Handover | None) -> list[bytes]:
    assert handover is not None
    assert handover.is_decrypted
    return [bytes(side.data) for side in handover.sides]


def opened(found: Exchange, keys: str = "") -> list[bytes]:
    return said(decrypt(stream_of(found), KeyLog.parse(keys or found.keys)))


@pytest.mark.parametrize("ciphers", MODERN)
@pytest.mark.parametrize("options", [0, NO_ENCRYPT_THEN_MAC], ids=["", "mac-then-encrypt"])
def test_tls12(ciphers: str, options: int) -> None:
    found = exchange(TALK, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers, options=options)
    assert (found.version, found.suite) == ("TLSv1.2", ciphers)
    assert opened(found) == SAID


@pytest.mark.parametrize("options", [0, NO_ENCRYPT_THEN_MAC], ids=["", "mac-then-encrypt"])
@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-SHA", "CAMELLIA128-SHA", "NULL-SHA"])
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_old_versions(version: str, ciphers: str, options: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            wanted = getattr(ssl.TLSVersion, version)
            found = exchange(TALK, version=wanted, ciphers=ciphers, key="rsa", options=options)
        except ssl.SSLError as refusal:
            pytest.skip(f"this OpenSSL refuses {version} with {ciphers}: {refusal}")
    assert opened(found) == SAID


def test_tls13() -> None:
    found = exchange(TALK)  # its other suites: tests/live/test_tls.py
    assert found.version == "TLSv1.3"
    assert opened(found) == SAID


@pytest.mark.parametrize("options", [0, NO_EXTENDED_MASTER_SECRET], ids=["extended", "plain"])
@pytest.mark.parametrize("version", ["TLSv1_1", "TLSv1_2"])
def test_premaster_secret(version: str, options: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        wanted = getattr(ssl.TLSVersion, version)
        found = exchange(TALK, version=wanted, ciphers="AES128-SHA", key="rsa", options=options)
    premasters = "\n".join(line for line in found.keys.splitlines() if line.startswith("RSA "))
    assert premasters
    assert opened(found, premasters) == SAID


@pytest.mark.parametrize(
    ("alpn", "protocol"), [((), ""), (("h2", "http/1.1"), "http2"), (("http/1.1",), "http"), (("mqtt",), "")]
)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_negotiated_protocol(version: str, alpn: Sequence[str], protocol: str) -> None:
    found = exchange(TALK, version=getattr(ssl.TLSVersion, version), alpn=alpn)
    handover = decrypt(stream_of(found), KeyLog.parse(found.keys))
    assert handover
    assert handover.protocol == protocol


def test_application_secrets_alone() -> None:
    found = exchange(TALK)
    keys = "\n".join(line for line in found.keys.splitlines() if "_TRAFFIC_SECRET_0" in line)
    assert opened(found, keys) == SAID


def test_one_side_alone() -> None:
    found = exchange(TALK)
    keys = "\n".join(line for line in found.keys.splitlines() if line.startswith("SERVER"))
    assert opened(found, keys) == [b"", SAID[1]]


def test_without_keys() -> None:
    found = exchange(TALK)
    assert decrypt(stream_of(found), KeyLog()) is None
    assert decrypt(stream_of(found), KeyLog.parse(exchange(TALK).keys)) is None


def test_wrong_keys() -> None:
    found, other = exchange(TALK), exchange(TALK)
    random = found.keys.split()[found.keys.split().index("CLIENT_TRAFFIC_SECRET_0") + 1]
    old = other.keys.split()[other.keys.split().index("CLIENT_TRAFFIC_SECRET_0") + 1]
    assert decrypt(stream_of(found), KeyLog.parse(other.keys.replace(old, random))) is None


def test_times_and_places_are_those_of_the_records() -> None:
    found = exchange(TALK)
    stream = stream_of(found)
    handover = decrypt(stream, KeyLog.parse(found.keys))
    assert handover
    client = handover.sides[0]
    second = client.origin(len(REQUEST))  # type: ignore[union-attr]
    assert found.turns[-2][1] <= second < found.turns[-2][2]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_record_that_does_not_authenticate(version: str) -> None:
    found = exchange(TALK, version=getattr(ssl.TLSVersion, version))
    found.sides[1][-20] ^= 1  # in the last record
    handover = decrypt(stream_of(found), KeyLog.parse(found.keys))
    assert handover
    _, server = handover.sides
    assert bytes(server.data[: len(ANSWER)]) == ANSWER
    assert list(server.gaps) == [(len(ANSWER), len(server.data), len(b"and again"))]


@pytest.mark.parametrize("ciphers", ["", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_gap_inside_a_record(ciphers: str) -> None:
    version = ssl.TLSVersion.TLSv1_2 if ciphers else ssl.TLSVersion.TLSv1_3
    found = exchange(TALK, version=version, ciphers=ciphers)
    end = len(found.sides[1])
    at = end - 30_000
    found.sides[1][at : at + 10] = bytes(10)
    handover = decrypt(stream_of(found, {1: [(at, at + 10, 10)]}), KeyLog.parse(found.keys))
    assert handover
    _, server = handover.sides
    assert bytes(server.data).endswith(b"and again")
    assert len(server.gaps) == 1
    start, stop, _missing = server.gaps[0]
    assert bytes(server.data[:start]) == ANSWER[:start]
    assert bytes(server.data[stop:]) == (ANSWER + b"and again")[-len(server.data) + stop :]


@pytest.mark.parametrize("ciphers", ["", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_lost_records_are_counted_by_trying(ciphers: str) -> None:
    version = ssl.TLSVersion.TLSv1_2 if ciphers else ssl.TLSVersion.TLSv1_3
    pieces = [(1, b"%06d" % number) for number in range(60)]
    found = exchange([(0, REQUEST), *pieces, (1, b"and a longer end")], version=version, ciphers=ciphers)
    sent = [(start, end) for direction, start, end in found.turns if direction == 1][-61:]
    start, end = sent[10][0] + 3, sent[50][1] - 4  # forty records, from inside a header
    found.sides[1][start:end] = bytes(20)
    gap = (start, start + 20, end - start)
    handover = decrypt(stream_of(found, {1: [gap]}), KeyLog.parse(found.keys))
    assert handover
    _, server = handover.sides
    text = bytes(server.data)
    assert text.startswith(b"".join(data for _, data in pieces[:10]))
    assert text.endswith(b"".join(data for _, data in pieces[51:]) + b"and a longer end")
    assert len(server.gaps) == 1


def test_client_hello_lost() -> None:
    found = exchange(TALK)
    del found.sides[0][:]
    assert decrypt(stream_of(found), KeyLog.parse(found.keys)) is None


EXCHANGES = {version: exchange(TALK, version=version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_streams(data: st.DataObject) -> None:
    whole = EXCHANGES[data.draw(st.sampled_from(list(EXCHANGES)))]
    sides = [bytearray(side) for side in whole.sides]
    gaps = {}
    for way, side in enumerate(sides):
        for _ in range(data.draw(st.integers(0, 3))):
            side[data.draw(st.integers(0, len(side) - 1))] = data.draw(st.integers(0, 255))
        start = data.draw(st.integers(0, len(side)))
        end = data.draw(st.integers(start, min(len(side), start + 500)))
        if start < end:
            side[start:end] = bytes(end - start)
            gaps[way] = [(start, end, data.draw(st.integers(end - start, 100_000)))]
    stream = tcp(bytes(sides[0]), bytes(sides[1]), gaps=gaps, midway=data.draw(st.booleans()))
    handover = decrypt(stream, KeyLog.parse(whole.keys))
    for side, plain in zip(handover.sides if handover else (), SAID, strict=False):
        assert len(side.data) <= 4 * 65_536 + len(plain)
        clear = bytes(side.data)
        for start, end, missing in side.gaps:
            assert 0 <= start < end <= len(clear)
            assert missing >= 0
        first = side.gaps[0][0] if side.gaps else len(clear)
        assert clear[:first] in plain  # what opens is what was said
