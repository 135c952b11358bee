"""Fingerprints, with the examples of their authors."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.tls._fingerprint import ja3, ja3s, ja4
from kubeshark.pipeline.tls._hello import parse_client_hello, parse_server_hello

from ._hellos import CHROME, alpn, client_hello, server_hello, vector


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_ja4_of_its_description() -> None:
    assert ja4(parse_client_hello(CHROME)) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja4_does_not_depend_on_the_order_of_extensions() -> None:
    hello = parse_client_hello(CHROME)
    hello.extensions.reverse()
    assert ja4(hello) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_ja3_leaves_grease_out() -> None:
    text = (  # as the authors' program prints it before hashing
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
        "27-0-51-16-17513-23-35-13-5-18-11-10-45-43-65281-21,29-23-24,0"
    )
    assert ja3(parse_client_hello(CHROME)) == md5(text)


def test_ja3_without_extensions() -> None:
    hello = parse_client_hello(client_hello([47], version=0x0301)[:-2])
    assert ja3(hello) == md5("769,47,,,")


def test_ja3s() -> None:
    hello = parse_server_hello(server_hello(0xC02F, [(65281, b"\0"), (0, b"")]))
    assert ja3s(hello) == md5("771,49199,65281-0")


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"a", "aa"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"0\xab", "3b"),
        (b"01\xab\xcd", "3d"),
        (b"0\xab\xcd1", "01"),
        (b"", "00"),
    ],
)
def test_ja4_names_the_first_protocol_by_its_ends(name: bytes, ends: str) -> None:
    assert ja4(parse_client_hello(client_hello(extensions=[alpn(name)]))).split("_")[0][-2:] == ends


@pytest.mark.parametrize(
    ("version", "supported", "code"),
    [
        (768, b"", "s3"),
        (769, b"", "10"),
        (771, b"\x03\x04\x03\x03", "13"),
        (771, b"\x7f\x1c", "00"),
        (65279, b"", "d1"),
        (65277, b"\xfe\xfd\xfe\xfc", "d3"),
    ],
)
def test_ja4_version(version: int, supported: bytes, code: str) -> None:
    extensions = [(43, vector(1, supported))] if supported else []
    assert ja4(parse_client_hello(client_hello(extensions=extensions, version=version)))[1:3] == code


def test_ja4_of_a_hello_with_nothing() -> None:
    assert ja4(parse_client_hello(b"")) == "t00i000000_000000000000_000000000000"


@given(st.binary(max_size=200))
def test_any_hello_has_fingerprints(body: bytes) -> None:
    hello = parse_client_hello(body)
    assert len(ja3(hello)) == 32
    assert len(ja4(hello).split("_")) == 3
    assert len(ja3s(parse_server_hello(body))) == 32
