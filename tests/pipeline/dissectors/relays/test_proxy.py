"""The PROXY protocol; headers made by hand from its specification."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given

from kubeshark.extension_api import Handover, Message
from kubeshark.pipeline.dissectors.relays import proxy

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, tcp

HTTP = b"GET / HTTP/1.1\r\n\r\n"
LINE = b"PROXY TCP4 198.51.100.7 192.0.2.2 56324 443\r\n"


def value(kind: int, data: bytes) -> bytes:
    return pack(">BH", kind, len(data)) + data


def header(family: int, addresses: bytes, *values: bytes, command: int = 0x21) -> bytes:
    rest = addresses + b"".join(values)
    return proxy.SIGNATURE + pack(">BBH", command, family, len(rest)) + rest


TCP6 = bytes(15) + b"\x01" + bytes(15) + b"\x02" + pack(">HH", 56324, 443)
SSL = value(0x20, b"\x01\0\0\0\0" + value(0x21, b"TLSv1.3") + value(0x22, b"example.com"))
ADDED = value(1, b"h2"), value(2, b"shop.example"), SSL, value(0xEA, b"vpce-1"), value(0xE4, b"x")
VERSION_2 = header(0x21, TCP6, *ADDED)


def read(stream: FakeStream) -> Message:
    (found,) = found_by(proxy, proxy.PROXY, stream)
    return found


def behind(stream: FakeStream) -> bytes | None:
    found = [part for part in proxy.dissect(proxy.PROXY, [stream])[0] if isinstance(part, Handover)]
    return bytes(found[0].sides[0].data) if found else None


def test_version_1() -> None:
    stream = tcp(LINE + HTTP, b"HTTP/1.1 204 No Content\r\n\r\n")
    found = read(stream)
    assert (found.start, found.end) == (0, len(LINE))
    assert document(found) == {
        "version": "1",
        "command": "PROXY",
        "family": "TCP4",
        "srcIp": "198.51.100.7",
        "srcPort": 56324,
        "dstIp": "192.0.2.2",
        "dstPort": 443,
    }
    assert behind(stream) == HTTP
    unknown = read(tcp(b"PROXY UNKNOWN whatever\r\n" + HTTP))
    assert (unknown.fields["proxy_family"], "proxy_src_ip" in unknown.fields) == ("UNKNOWN", False)


def test_version_2_with_what_the_balancer_adds() -> None:
    stream = tcp(VERSION_2 + HTTP)
    found = read(stream)
    assert (found.fields["proxy_src_ip"], found.fields["proxy_dst_ip"]) == ("::1", "::2")
    assert (found.fields["proxy_src_port"], found.fields["proxy_dst_port"]) == (56324, 443)
    assert (found.fields["proxy_alpn"], found.fields["proxy_authority"]) == ("h2", "shop.example")
    assert document(found)["values"] == {
        "alpn": "h2",
        "authority": "shop.example",
        "ssl": {"client": "01", "verified": True, "version": "TLSv1.3", "cn": "example.com"},
        "aws": "vpce-1",
        "0xe4": "78",
    }
    assert behind(stream) == HTTP


@pytest.mark.parametrize(
    ("family", "addresses", "name"),
    [(0x00, b"", "UNSPEC"), (0x31, bytes(216), "UNIX"), (0x11, bytes(12), "TCP4"), (0x11, b"short", "TCP4")],
)
def test_families(family: int, addresses: bytes, name: str) -> None:
    stream = tcp(header(family, addresses, command=0x20) + HTTP)
    found = read(stream)
    assert (found.fields["proxy_command"], found.fields["proxy_family"]) == ("LOCAL", name)
    assert behind(stream) == HTTP


def test_damage_is_named() -> None:
    cut = tcp(VERSION_2[:30])
    missing = len(VERSION_2) - 30
    assert read(cut).error == f"truncated: {missing} bytes of the header were not captured"
    assert behind(cut) is None
    lost = tcp(VERSION_2 + HTTP, gaps={0: [(20, 30, 10)]})
    assert read(lost).error == "gap: 10 bytes missing at 20"
    assert behind(lost) == HTTP
    assert read(tcp(proxy.SIGNATURE + b"\x21")).error.startswith("truncated: ")


@pytest.mark.parametrize(
    "line", [b"PROXY TCP4 a line of another protocol\r\n", b"PROXY UNKNOWN" + b" " * 100 + b"\r\n", b"PROXY TCP6 ::1"]
)
def test_what_only_looks_like_it_is_passed_on(line: bytes) -> None:
    stream = tcp(line + HTTP, b"answer")
    assert not found_by(proxy, proxy.PROXY, stream)
    assert behind(stream) == line + HTTP


@given(damaged_streams(VERSION_2 + HTTP, b"", 80))
def test_any_damage(stream: FakeStream) -> None:
    assert_sound(proxy.dissect(proxy.PROXY, [stream])[0], stream)
