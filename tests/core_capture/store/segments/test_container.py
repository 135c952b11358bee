"""The container of columns: its exact bytes, round trips, and refusal of whatever does not fit."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.segments._container import Column, pack, unpack
from kubeshark.errors import Damaged

MAGIC = b"KSHKTEST"


@dataclass(frozen=True)
class Facts:
    n: int


def test_its_bytes() -> None:
    columns = [
        Column("d", np.array([5, 7, 6], dtype="<u2"), "delta"),
        Column("p", np.array([[0x0102, 0x0304], [0x0506, 0x0708]], dtype="<u2"), "planes"),
        Column("b", np.array([10, 266], dtype="<u4"), "delta planes"),
    ]
    listed = b'["d","<u2",[3],"delta"],["p","<u2",[2,2],"planes"],["b","<u4",[2],"delta planes"]'
    text = b'{"meta":{"n":1},"columns":[' + listed + b"]}"
    head = MAGIC + struct.pack("<I", len(text)) + text
    assert pack(MAGIC, Facts(1), columns) == (
        head
        + bytes(-len(head) % 8)
        + b"\x05\x00\x02\x00\xff\xff\x00\x00"
        + b"\x02\x06\x01\x05\x04\x08\x03\x07"
        + b"\x0a\x00\x00\x01\x00\x00\x00\x00"
    )


CODINGS = st.sampled_from(["", "delta", "planes", "delta planes"])


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=20),
    st.sampled_from(["|u1", "<u2", "<u4", "<u8", "<i8"]),
    CODINGS,
    st.sampled_from([1, 2, 16]),
)
def test_round_trip(numbers: list[int], dtype: str, coding: str, width: int) -> None:
    flat = np.array(numbers, dtype=np.uint64).astype(dtype)
    values = flat if width == 1 else np.repeat(flat[:, None], width, axis=1)
    contents = unpack(pack(MAGIC, Facts(3), [Column("x", values, coding)]), MAGIC, Facts, "f")  # type: ignore[arg-type]
    assert contents.meta == Facts(3)
    assert np.array_equal(contents.column("x", dtype, values.shape), values)
    for wrong_dtype, wrong_shape in ((dtype, (*values.shape, 1)), ("<u4" if dtype != "<u4" else "<u2", values.shape)):
        with pytest.raises(Damaged, match="column x"):
            contents.column("x", wrong_dtype, wrong_shape)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20), CODINGS, st.data())
def test_a_part_is_a_part_of_the_whole(numbers: list[int], coding: str, draw: st.DataObject) -> None:
    values = np.array(numbers, dtype="<u2")
    bounds = sorted(draw.draw(st.lists(st.integers(0, len(numbers)), min_size=4, max_size=4)))
    wanted = [(bounds[0], bounds[1]), (bounds[2], bounds[3])]
    contents = unpack(pack(MAGIC, Facts(3), [Column("x", values, coding)]), MAGIC, Facts, "f")  # type: ignore[arg-type]
    expected = [*numbers[bounds[0] : bounds[1]], *numbers[bounds[2] : bounds[3]]]
    assert contents.part("x", "<u2", len(numbers), wanted).tolist() == expected
    with pytest.raises(Damaged, match="column x"):
        contents.part("x", "<u4", len(numbers), wanted)


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 200))
def test_arbitrary_bytes_raise_damaged_only(noise: bytes, as_text: bool, length: int) -> None:
    data = MAGIC + struct.pack("<I", length) + noise if as_text else noise
    with pytest.raises(Damaged):
        unpack(data, MAGIC, Facts, "f")


@pytest.mark.parametrize(
    "columns",
    [
        '[["x","<u8",[3],""]]',
        '[["x","<u8",[4611686018427387904],""]]',
        '[["x","<u8",[-1],""]]',
        '[["x","<f8",[1],""]]',
        '[["x","O",[1],""]]',
        '[["x","<u8",[1],"xor"]]',
        '[["x","<u8",[1,1,1],""]]',
        '[["x","<u8",[],""]]',
        '[["x","<u8",1,""]]',
        '[["x"]]',
        "{}",
        "[" + ",".join(['["x","|u1",[0],""]'] * 65) + "]",
        "[" * 10_000,
    ],
)
def test_columns_that_do_not_fit(columns: str) -> None:
    text = ('{"meta":{"n":1},"columns":' + columns + "}").encode()
    head = MAGIC + struct.pack("<I", len(text)) + text
    with pytest.raises(Damaged):
        unpack(head + bytes(-len(head) % 8) + bytes(16), MAGIC, Facts, "f")


def test_every_prefix_is_refused() -> None:
    whole = pack(MAGIC, Facts(1), [Column("x", np.arange(5, dtype="<u8"), "delta planes")])
    for cut in range(len(whole)):
        with pytest.raises(Damaged):
            unpack(whole[:cut], MAGIC, Facts, "f")
