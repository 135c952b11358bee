"""Big-endian options and blocks come out little-endian, and nothing else in them changes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.files import _options as options
from kubeshark.errors import Malformed

OPTIONS = st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=30)), max_size=8)


@given(some=OPTIONS)
def test_split_undoes_join(some) -> None:
    joined = options.join_options(some)
    assert options.split_options(joined) == (some, len(joined))
    assert options.split_options(joined + bytes(4) + b"junk") == (some, len(joined) + 4)


@given(data=st.binary(max_size=200), order=st.sampled_from("<>"))
def test_hostile_options_are_malformed_or_fine(data, order) -> None:
    for block_type in (1, 4, 5, 6, 10, 0xBAD, options.SECTION_HEADER, 99):
        try:
            options.little_endian_body(block_type, data, order)
            options.little_endian_options(block_type, data, order)
        except Malformed:
            pass


def block(order: str, build) -> bytes:
    return build(lambda layout, *values: struct.pack(order + layout, *values))


@pytest.mark.parametrize(
    ("block_type", "build"),
    [
        # name resolution: an IPv4 record, its end, an option, its end
        (4, lambda p: p("HH", 1, 7) + b"\x0a\0\0\1ab\0\0" + p("HH", 0, 0) + p("HH", 2, 3) + b"dns\0" + p("HH", 0, 0)),
        (4, lambda p: p("HH", 0, 0)),
        # statistics: interface, time, start time in two halves, received
        (5, lambda p: p("III", 1, 2, 3) + p("HHII", 2, 8, 5, 6) + p("HHQ", 4, 8, 7) + p("HH", 0, 0)),
        (5, lambda p: p("III", 1, 2, 3)),
        # secrets
        (10, lambda p: p("II", 0x544C534B, 5) + b"CLIEN\0\0\0" + p("HH", 1, 2) + b"hi\0\0" + p("HH", 0, 0)),
        # custom: enterprise number, then what nobody knows
        (0xBAD, lambda p: p("I", 32473) + b"\1\2\3\4"),
        (0x40000BAD, lambda p: p("I", 32473) + b"\1\2\3\4"),
        (0x7777, lambda p: b"\1\2\3\4"),
    ],
)
def test_blocks_of_both_orders_agree(block_type, build) -> None:
    little, big = block("<", build), block(">", build)
    assert options.little_endian_body(block_type, little, "<") == little
    assert options.little_endian_body(block_type, big, ">") == little


def test_numbers_in_options_are_turned() -> None:
    big = struct.pack(">HHIHHQ", 2, 4, 1, 4, 8, 2) + struct.pack(">HHI4s", 2988, 8, 32473, b"text")
    assert options.split_options(options.little_endian_options(6, big, ">"))[0] == [
        (2, struct.pack("<I", 1)),
        (4, struct.pack("<Q", 2)),
        (2988, struct.pack("<I", 32473) + b"text"),
    ]


@pytest.mark.parametrize("body", [b"", b"\0\0\0\1", struct.pack(">II", 1, 2**32 - 1)])
def test_cut_secrets_are_malformed(body) -> None:
    with pytest.raises(Malformed):
        options.little_endian_body(options.DECRYPTION_SECRETS, body, ">")
