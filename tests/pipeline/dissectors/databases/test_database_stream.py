"""The cursor that never reads beyond a message, and the order in which two sides spoke."""

from __future__ import annotations

import pytest

from kubeshark.extension_api import rest_of
from kubeshark.pipeline.dissectors.databases._database_stream import (
    Arrival,
    Cursor,
    Short,
    by_direction,
    first_words,
    hex_text,
    looks_like_sql,
)

from .._streams import tcp


def test_cursor_reads_in_order() -> None:
    cursor = Cursor(b"\x01\x02\x03\xffname\0rest")
    assert (cursor.uint(1), cursor.uint(2), cursor.int(1), cursor.until_nul()) == (1, 0x203, -1, b"name")
    assert (cursor.left, cursor.rest(), cursor.left) == (4, b"rest", 0)


def test_cursor_of_the_other_byte_order() -> None:
    assert Cursor(b"\x01\x02", order="little").uint(2) == 0x201


@pytest.mark.parametrize("count", [5, -1])
def test_cursor_stops_at_the_end(count: int) -> None:
    cursor = Cursor(b"1234")
    with pytest.raises(Short):
        cursor.take(count)
    with pytest.raises(Short):
        cursor.until_nul()
    assert cursor.at == 0


def test_arrival_orders_both_sides() -> None:
    stream = tcp(b"askask", b"answer")
    stream.runs = [(0, 0, 3), (1, 0, 6), (0, 3, 6)]
    arrival = Arrival(stream)
    assert [arrival.turn(0, 0), arrival.turn(0, 2), arrival.turn(1, 5), arrival.turn(0, 3)] == [0, 0, 1, 2]
    assert Arrival(tcp()).turn(0, 7) == 0


def test_sides_in_the_order_of_the_stream() -> None:
    asking, answering = (rest_of(side, 0) for side in tcp(b"ask", b"answer").sides)  # type: ignore[arg-type]
    assert by_direction(0, asking, answering) == (asking, answering)
    assert by_direction(1, asking, answering) == (answering, asking)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("select 1", "SELECT"),
        (" /* who */ -- why\n ( Insert into t", "INSERT INTO"),
        ("# note\ncreate_x table", "CREATE_X TABLE"),
        ("/* open", ""),
        ("/*!40101 SET NAMES utf8 */", "SET NAMES"),
        ("/*M!100100 SET x", "SET"),
        ("", ""),
        ("5 + 5", ""),
        ("BEGIN;", "BEGIN"),
    ],
)
def test_first_words(statement: str, words: str) -> None:
    assert first_words(statement, len(words.split()) or 1) == words


@pytest.mark.parametrize(
    ("data", "is_sql"),
    [(b"SELECT 1", True), (b"with a as", True), (b"GET / HTTP", True), (b"QUIT\r\n", False), (b"", False)],
)
def test_looks_like_sql(data: bytes, is_sql: bool) -> None:
    assert looks_like_sql(data) is is_sql
    assert not looks_like_sql(data + b"\0")


def test_hex_text_is_bounded() -> None:
    assert hex_text(b"\x01\xff") == "01ff"
    assert len(hex_text(bytes(10_000))) == 8193
