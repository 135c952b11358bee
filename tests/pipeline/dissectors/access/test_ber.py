"""Elements of BER."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.access._ber import BadBer, Element, children, element, header, integer, payload


def test_short_and_long_lengths() -> None:
    data = b"\x30\x84\0\0\0\x06\x02\x01\x05\x04\x01a"
    outer = element(data, 0, len(data))
    assert outer == Element(0x30, 0, 6, 12)
    number, text = children(data, outer)
    assert (integer(data, number), payload(data, text)) == (5, b"a")


def test_integers_are_signed() -> None:
    assert integer(b"\x02\x01\xff", Element(2, 0, 2, 3)) == -1


@pytest.mark.parametrize("data", [b"\x1f\x01\0", b"\x30\x80", b"\x30\x85\0\0\0\0\1", b"\x30\x02\0", b"\x30", b""])
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(BadBer):
        element(data, 0, len(data))


@pytest.mark.parametrize("size", [0, 9])
def test_integers_of_odd_size(size: int) -> None:
    with pytest.raises(BadBer):
        integer(bytes(12), Element(2, 0, 2, 2 + size))


def test_a_header_may_reach_beyond_the_data() -> None:
    assert header(b"\x30\x05\0", 0, 3) == Element(0x30, 0, 2, 7)
    assert header(b"\x30\x82\x01", 0, 3) is None


@given(st.binary(max_size=80))
def test_children_stay_inside(data: bytes) -> None:
    at = 0
    try:
        for child in children(data, Element(0, 0, 0, len(data))):
            assert at == child.start < child.body <= child.end <= len(data)
            at = child.end
    except BadBer:
        pass
