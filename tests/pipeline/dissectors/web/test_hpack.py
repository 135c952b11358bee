"""Header blocks: the examples of RFC 7541, the encoder of another implementation, and blocks that were not captured."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._hpack import MAX_LIST, MAX_TABLE, UNKNOWN, HeaderDecoder

FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECOND = [*FIRST, (b"cache-control", b"no-cache")]
THIRD = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]
PLAIN = (
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
)
HUFFMAN = (
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
)


def decoder(*, is_complete: bool = True) -> HeaderDecoder:
    return HeaderDecoder(is_complete=is_complete)


@pytest.mark.parametrize("blocks", [PLAIN, HUFFMAN], ids=["C.3 plain", "C.4 Huffman"])
def test_requests_of_the_rfc(blocks: tuple[str, str, str]) -> None:
    reader = decoder()
    for block, fields in zip(blocks, (FIRST, SECOND, THIRD), strict=True):
        decoded = reader.decode(bytes.fromhex(block))
        assert (decoded.fields, decoded.error) == (fields, "")


@pytest.mark.parametrize(
    ("block", "field"),
    [
        pytest.param(
            "400a637573746f6d2d6b65790d637573746f6d2d686561646572", (b"custom-key", b"custom-header"), id="C.2.1"
        ),
        pytest.param("040c2f73616d706c652f70617468", (b":path", b"/sample/path"), id="C.2.2"),
        pytest.param("100870617373776f726406736563726574", (b"password", b"secret"), id="C.2.3"),
        pytest.param("82", (b":method", b"GET"), id="C.2.4"),
        pytest.param("3fe11f82", (b":method", b"GET"), id="table size before it"),
    ],
)
def test_representations_of_the_rfc(block: str, field: tuple[bytes, bytes]) -> None:
    assert decoder().decode(bytes.fromhex(block)).fields == [field]


FIELDS = st.lists(
    st.tuples(st.sampled_from([b":path", b"host", b"x-a", b"cookie", b"x-b"]), st.binary(max_size=40)), max_size=8
)


@given(st.lists(FIELDS, max_size=8), st.booleans(), st.integers(0, 8))
def test_what_another_encoder_wrote_is_read(
    sections: list[list[tuple[bytes, bytes]]], huffman: bool, lost: int
) -> None:
    encoder, reader = Encoder(), decoder(is_complete=lost == 0)
    for at, fields in enumerate(sections):
        block = encoder.encode(fields, huffman=huffman)
        if at < lost:  # before the capture
            continue
        decoded = reader.decode(block)
        assert not decoded.error
        assert len(decoded.fields) == len(fields)
        for found, field in zip(decoded.fields, fields, strict=True):
            assert found[0] in (field[0], UNKNOWN)  # unknown, or right: never wrong
            assert found[1] in (field[1], UNKNOWN)
            assert lost or found == field


def test_entries_added_since_a_loss_are_known() -> None:
    encoder, reader = Encoder(), decoder()
    reader.decode(encoder.encode([(b"x-old", b"1")]))
    reader.forget()
    assert reader.decode(encoder.encode([(b"x-new", b"2")])).fields == [(b"x-new", b"2")]
    fields = reader.decode(encoder.encode([(b"x-new", b"2"), (b"x-old", b"1"), (b"x-old", b"3")])).fields
    assert fields == [(b"x-new", b"2"), (UNKNOWN, UNKNOWN), (UNKNOWN, b"3")]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        pytest.param(b"\x80", "index 0", id="index 0"),
        pytest.param(b"\x82\xbe", "index 62 is not in the table", id="beyond the table"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\xff", "more than 35 bits", id="long integer"),
        pytest.param(b"\x40\x0aabc", "ends inside a string", id="cut name"),
        pytest.param(b"\x82\x40", "ends inside a field", id="cut field"),
        pytest.param(b"\x44\x81\x00", "bad Huffman code", id="Huffman padding"),
    ],
)
def test_damage_is_said(block: bytes, error: str) -> None:
    decoded = decoder().decode(block)
    assert error in decoded.error
    assert decoded.fields in ([], [(b":method", b"GET")])


def test_behind_damage_the_table_is_not_trusted() -> None:
    reader = decoder()
    reader.decode(b"\x40\x01a\x01b\x80")
    assert reader.decode(b"\xbe").fields == [(UNKNOWN, UNKNOWN)]


def test_lists_are_bounded() -> None:
    reader = decoder()
    reader.decode(b"\x40\x01a\x7f\x81\x1f" + bytes(4096))
    bomb = reader.decode(b"\xbe" * 100_000)
    assert "longer than" in bomb.error
    assert sum(len(name) + len(value) for name, value in bomb.fields) <= MAX_LIST


def test_the_table_is_bounded() -> None:
    reader, count = decoder(), MAX_TABLE // 1033 + 2
    for number in range(count):
        reader.decode(b"\x40\x01a\x7f\xe9\x06" + number.to_bytes(2, "big") + bytes(998))
    (newest,) = reader.decode(b"\xbe").fields
    assert newest[1][:2] == (count - 1).to_bytes(2, "big")
    assert reader.decode(b"\xfe").fields == [(UNKNOWN, UNKNOWN)]  # the oldest of 65 made room


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_any_bytes(blocks: list[bytes], is_complete: bool) -> None:
    reader = decoder(is_complete=is_complete)
    for block in blocks:
        reader.decode(block)
