"""The binary form of columns: what is encoded comes back, and what is cut is noticed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.hub.entries._batches import MAX_STRINGS, BatchEncoder, decode_batch

texts = st.text(max_size=20)
values = st.one_of(
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3),
    st.lists(st.integers(-(2**53), 2**53), min_size=3, max_size=3),
    st.lists(st.floats(allow_nan=False), min_size=3, max_size=3),
    st.lists(texts, min_size=3, max_size=3),
)


def batch_of(columns: dict[str, list[Any]], encoder: BatchEncoder, strings: dict[str, list[str]]) -> dict[str, Any]:
    data = encoder.encode(columns, "here")
    query, number, found, cursor = decode_batch(data, strings)
    assert (query, number, cursor) == (encoder.query, encoder.batch, "here")
    return found


@given(st.lists(st.dictionaries(texts.filter(bool), values, min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_encoded_comes_back(batches: list[dict[str, list[Any]]]) -> None:
    encoder, strings = BatchEncoder(7), dict[str, list[str]]()
    for columns in batches:
        assert batch_of(columns, encoder, strings) == columns


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_batch_that_is_cut_or_changed_is_noticed_or_harmless(cut: int, byte: int) -> None:
    data = BatchEncoder(1).encode({"id": ["a-1-0", "b-2-1"], "n": [1, 2], "t": ["x", "y"]}, "c")
    with pytest.raises(ValueError):
        decode_batch(data[: min(cut, len(data) - 1)], {})
    changed = bytearray(data)
    changed[cut % len(data)] = byte
    with suppress(ValueError, KeyError, IndexError, TypeError):
        decode_batch(bytes(changed), {})


def test_surrogates_of_the_wire_become_text() -> None:
    found = batch_of({"id": ["a\udcff"], "t": ["\ud800b"]}, BatchEncoder(1), {})
    assert found["id"] == ["a?"]
    assert found["t"][0].endswith("b")


def test_lists_maps_bytes_and_nothing_are_text() -> None:
    columns = {"v": [["a", 1], {"k": "v"}, b"\x01\xff", None, "x"]}
    assert batch_of(columns, BatchEncoder(1), {})["v"] == ['["a", 1]', '{"k": "v"}', "01ff", "", "x"]


def test_a_dictionary_that_grows_too_large_goes_on_as_text() -> None:
    encoder, strings = BatchEncoder(1), dict[str, list[str]]()
    for start in range(0, MAX_STRINGS + 2_000, 200):
        column = [f"value {number}" for number in range(start, start + 200)]
        assert batch_of({"v": column}, encoder, strings)["v"] == column
    assert len(strings["v"]) <= MAX_STRINGS


def test_texts_that_never_come_again_are_no_dictionary() -> None:
    encoder, strings = BatchEncoder(1), dict[str, list[str]]()
    batch_of({"v": [str(number) for number in range(1_000)]}, encoder, strings)
    assert strings == {}
    batch_of({"w": ["GET", "POST"] * 500}, encoder, strings)
    assert strings == {"w": ["GET", "POST"]}
