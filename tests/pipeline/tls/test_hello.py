"""Hellos: every field, every cut."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.tls._hello import (
    Cursor,
    CutShort,
    parse_client_hello,
    parse_server_hello,
    parse_ssl2_client_hello,
)

from ._hellos import CHROME, RANDOM, RETRY, alpn, client_hello, key_share, server_hello, server_name


def test_client_hello() -> None:
    hello = parse_client_hello(CHROME)
    assert (hello.error, hello.version, hello.random, hello.session_id) == ("", 0x0303, RANDOM, b"")
    assert hello.sni == "example.org"
    assert hello.alpn == ["h2", "http/1.1"]
    assert hello.versions == [0x0304, 0x0303]
    assert hello.groups == [0x2A2A, 29, 23, 24]
    assert hello.key_shares == [0x0A0A, 29]
    assert hello.signature_algorithms[:2] == [0x0403, 0x0804]
    assert hello.point_formats == b"\0"
    assert (len(hello.suites), len(hello.extensions)) == (16, 18)
    assert (hello.resumes, hello.has_early_data, hello.hidden_name) == (False, False, "")


@pytest.mark.parametrize("size", range(len(CHROME)))
def test_client_hello_cut_anywhere_keeps_what_it_has(size: int) -> None:
    hello = parse_client_hello(CHROME[:size])
    whole = parse_client_hello(CHROME)
    # without extensions a hello may end behind its compressions
    assert bool(hello.error) == (size != CHROME.index(b"\x01\0") + 2)
    assert whole.suites[: len(hello.suites)] == hello.suites
    assert whole.extensions[: len(hello.extensions)] == hello.extensions
    assert hello.sni in ("", "example.org")


def test_resumption_early_data_and_hidden_names() -> None:
    extensions = [(35, b"ticket"), (42, b""), (0xFE0D, b"\0")]
    hello = parse_client_hello(client_hello(extensions=extensions))
    assert (hello.resumes, hello.has_early_data, hello.hidden_name) == (True, True, "ECH")
    assert parse_client_hello(client_hello(extensions=[(0xFFCE, b"\0")])).hidden_name == "ESNI"
    assert parse_client_hello(client_hello(extensions=[(41, b"")])).resumes


def test_datagram_hello_has_a_cookie() -> None:
    body = client_hello([0xC02B], [server_name(b"a")], version=0xFEFD, cookie=b"cookie")
    hello = parse_client_hello(body, is_datagram=True)
    assert (hello.error, hello.suites, hello.sni) == ("", [0xC02B], "a")


def test_names_that_are_no_names() -> None:
    assert parse_client_hello(client_hello(extensions=[server_name(b"\xff\0a")])).sni == "\\xff\0a"
    assert parse_client_hello(client_hello(extensions=[(0, b"\0\5\0\0\x63")])).sni == ""
    assert parse_client_hello(client_hello(extensions=[(0, b"")])).sni == ""
    assert parse_client_hello(client_hello(extensions=[(16, b"\0\5\5a")])).alpn == []
    assert parse_client_hello(client_hello(extensions=[(51, b"\0\5\0\x1d\0\x63")])).key_shares == [29]


def test_server_hello() -> None:
    extensions = [(43, b"\x03\x04"), key_share(29), alpn(b"h2"), (41, b"\0\0")]
    hello = parse_server_hello(server_hello(0x1302, [extensions[0], (51, b"\0\x1d"), *extensions[2:]], session=b"s"))
    assert (hello.error, hello.legacy_version, hello.version, hello.suite) == ("", 0x0303, 0x0304, 0x1302)
    assert (hello.alpn, hello.group, hello.session_id, hello.uses_psk, hello.is_retry) == ("h2", 29, b"s", True, False)


def test_hello_retry_request() -> None:
    assert parse_server_hello(server_hello(random=RETRY)).is_retry


def test_server_hello_of_a_draft_has_no_session() -> None:
    body = pack(">H", 0x7F12) + RANDOM + pack(">HH", 0x1301, 0)
    hello = parse_server_hello(body)
    assert (hello.error, hello.version, hello.suite) == ("", 0x7F12, 0x1301)


def test_ssl2_hello() -> None:
    body = b"\x01\x03\x01" + pack(">HHH", 9, 0, 16) + b"\x01\0\x80\0\0\x2f\0\0\x35" + bytes(16)
    record = pack(">H", 0x8000 | len(body)) + body
    hello = parse_ssl2_client_hello(record)
    assert hello
    assert (hello.version, hello.suites, hello.random, hello.error) == (0x0301, [0x2F, 0x35], bytes(16), "")
    assert parse_ssl2_client_hello(record[:30]).error  # type: ignore[union-attr]
    assert parse_ssl2_client_hello(record[:10]) is None
    assert parse_ssl2_client_hello(b"\x80\x2e\x02" + record[3:]) is None
    assert parse_ssl2_client_hello(b"\x80\x2f" + record[2:]) is None


def test_cursor_never_reads_beyond_its_end() -> None:
    cursor = Cursor(b"\0\1\2\3", 0, 3)
    assert (cursor.number(1), cursor.number(2), cursor.left) == (0, 0x0102, 0)
    with pytest.raises(CutShort):
        cursor.take(1)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes(body: bytes, is_datagram: bool) -> None:
    hello = parse_client_hello(body, is_datagram=is_datagram)
    _ = hello.sni, hello.alpn, hello.groups, hello.versions, hello.key_shares, hello.point_formats
    _ = hello.signature_algorithms, hello.hidden_name, hello.resumes
    server = parse_server_hello(body)
    _ = server.version, server.alpn, server.group, server.is_retry
    parse_ssl2_client_hello(body)


@given(st.data())
def test_damaged_hello(data: st.DataObject) -> None:
    body = bytearray(CHROME)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    hello = parse_client_hello(bytes(body))
    _ = hello.sni, hello.alpn, hello.groups, hello.versions, hello.key_shares, hello.point_formats
    assert len(hello.extensions) <= len(CHROME) // 4
