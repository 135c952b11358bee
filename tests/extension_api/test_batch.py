"""Columns say what objects say: the codec in C against its oracle, on good, random and damaged bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import _batch
from kubeshark.extension_api._batch import Batch, Columns, decode_columns
from kubeshark.extension_api._frame import (
    DISSECT,
    MAX_DISSECT_ITEMS,
    MAX_FRAME_PAYLOAD,
    FrameError,
    FrameItem,
    decode_dissect,
    encode_request,
    request_size,
)
from tests.extension_api.test_frame import TYPES, dissect_result, read_request

ITEMS = st.lists(
    st.builds(
        FrameItem,
        st.binary(max_size=40),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 1),
        st.integers(0, 255),
        st.integers(0, 15),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
    ),
    max_size=12,
)


@pytest.fixture(params=["native", "python"], autouse=True)
def codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test runs with both codecs."""
    if request.param == "native" and not _batch.HAS_NATIVE:
        pytest.skip("the frame codec was not built: install python3-dev and run make setup")
    before, _batch.HAS_NATIVE = _batch.HAS_NATIVE, request.param == "native"
    yield request.param
    _batch.HAS_NATIVE = before


def encoded(items: list[FrameItem], batch: Batch) -> tuple[bytes, bytes]:
    size = request_size([len(item.payload) for item in items])
    one, other = bytearray(size), bytearray(size)
    assert encode_request(DISSECT, items, one) == batch.encode(DISSECT, other) == size
    return bytes(one), bytes(other)


@given(ITEMS)
def test_a_batch_is_laid_out_as_its_items(items: list[FrameItem]) -> None:
    batch = Batch.of(items)
    assert [item._replace(payload=bytes(item.payload)) for item in batch] == items
    one, other = encoded(items, batch)
    assert one == other
    assert read_request(one) == [tuple(item) for item in items]


@given(ITEMS, st.integers(0, 12), st.integers(0, 12))
def test_a_slice_is_the_batch_of_a_slice(items: list[FrameItem], start: int, stop: int) -> None:
    one, other = encoded(items[start:stop], Batch.of(items)[start:stop])
    assert one == other


@given(st.lists(st.integers(0, 3 * MAX_FRAME_PAYLOAD // 2), max_size=12), st.integers(0, 3000))
def test_frames_are_cut_by_count_and_payload(sizes: list[int], small: int) -> None:
    sizes = [*sizes, *[1] * small]
    whole = memoryview(bytes(2 * MAX_FRAME_PAYLOAD))
    lengths = struct.pack(f"<{len(sizes)}I", *sizes)
    batch = Batch(whole, bytes(48 * len(sizes)), bytes(8 * len(sizes)), lengths)
    places = [at for part in batch.frames() for at in range(len(sizes))[part]]
    assert places == list(range(len(sizes)))
    for part in batch.frames():
        cut = sizes[part]
        assert len(cut) == 1 or (len(cut) <= MAX_DISSECT_ITEMS and sum(cut) <= MAX_FRAME_PAYLOAD)


def test_what_does_not_fit_is_refused() -> None:
    batch = Batch.of([FrameItem(b"x" * 100)])
    with pytest.raises(ValueError, match="needs"):
        batch.encode(DISSECT, bytearray(120))
    with pytest.raises(ValueError, match="different lengths"):
        Batch(b"", bytes(48), bytes(16), bytes(4))
    with pytest.raises(ValueError, match="neighbours"):
        _ = batch[::2]


def test_an_item_outside_of_its_data_is_never_read(codec: str) -> None:
    if codec == "python":
        return  # slices end where the data does
    batch = Batch(b"abc", struct.pack("<II40x", 0, 4), struct.pack("<Q", 0), struct.pack("<I", 4))
    with pytest.raises(ValueError, match="outside"):
        batch.encode(DISSECT, bytearray(200))
    far = Batch(b"abc", struct.pack("<II40x", 0, 2), struct.pack("<Q", 2**64 - 1), struct.pack("<I", 2))
    with pytest.raises(ValueError, match="outside"):
        far.encode(DISSECT, bytearray(200))


def outcome(result: bytes, payloads: list[bytes]) -> tuple[object, object]:
    """What the oracle says and what the columns say: (consumed, messages), or (text, item) of the error."""
    said: list[object] = []
    batch = Batch.of([FrameItem(payload) for payload in payloads])
    for way in (
        lambda: decode_dissect(memoryview(result), payloads, TYPES),
        lambda: decode_columns(memoryview(result), batch, TYPES),
    ):
        try:
            found = way()
        except FrameError as error:
            said.append((error.message, error.item))
            continue
        is_columns = isinstance(found, Columns)
        said.append((list(found.consumed), list(found.read()) if is_columns else found.messages))
    return said[0], said[1]


GOOD = [
    {"item": 0, "start": 0, "end": 2, "flags": 3, "fields": [(0, 4, "grün".encode()), (0xFFFF, 4, b"malformed: x")]},
    {"item": 0, "start": 2, "end": 4, "kind": 2, "fields": [(1, 0, 2**64 - 5), (2, 1, 0x3FF8 << 48), (3, 2, 1)]},
    {"item": 1, "start": 0, "end": 4, "flags": 4, "fields": [(0, 3, 1 | 2 << 32), (4, 6, 4 << 32), (7, 0, 9)]},
    {"item": 1, "start": 4, "end": 4, "kind": 1, "fields": [(5, 7, b'["a"]'), (6, 7, b'{"a":"b"}'), (4, 5, b"\xff")]},
]


def test_every_type_of_field() -> None:
    oracle, columns = outcome(dissect_result([4, 4], GOOD), [b"abcd", b"e\xffgh"])
    assert oracle == columns
    assert isinstance(oracle, tuple)
    assert len(oracle[1]) == 4


@pytest.mark.parametrize(
    "fields",
    [
        [(0, 4, b"\xff")],  # text that is no UTF-8
        [(0, 4, b"\xed\xa0\x80")],  # a surrogate
        [(0, 3, 3 | 2 << 32)],  # ends outside the item
        [(2, 1, 0x7FF0 << 48)],  # infinite
        [(3, 2, 2)],  # no bool
        [(1, 1, 0)],  # not of its type
        [(8, 0, 0)],  # not in the manifest
        [(1, 0, 0), (1, 0, 0)],  # twice
        [(0xFFFF, 4, b"an error without its flag")],
        [(5, 7, b"[1]")],  # not a list of strings
    ],
)
def test_what_is_wrong_is_wrong_in_the_same_words(fields: list[tuple[int, int, object]]) -> None:
    oracle, columns = outcome(dissect_result([4], [{"item": 0, "start": 0, "end": 4, "fields": fields}]), [b"abcd"])
    assert oracle == columns
    assert isinstance(oracle, tuple)
    assert oracle[1] == 0


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 5))
def test_damaged_results_are_judged_alike(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    result = bytearray(dissect_result([4, 4], GOOD if chance.random() < 0.5 else GOOD[:3]))
    for _ in range(changes):
        result[chance.randrange(len(result))] = chance.choice((0, 1, 4, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    if chance.random() < 0.2:
        del result[chance.randrange(len(result)) :]
        struct.pack_into("<I", result, 24, len(result)) if len(result) > 28 else None
    oracle, columns = outcome(bytes(result), [b"abcd", b"e\xffgh"])
    assert oracle == columns


def test_columns_are_a_copy() -> None:
    shared = bytearray(dissect_result([4, 4], GOOD))
    batch = Batch.of([FrameItem(b"abcd"), FrameItem(b"e\xffgh")])
    columns = decode_columns(memoryview(shared), batch, TYPES)
    before = list(columns.read())
    shared[:] = bytes(len(shared))
    assert list(columns.read()) == before
    assert [len(messages) for _, messages in columns.by_item()] == [2, 2]
    assert len(columns) == 4
