"""The ICMP scanner against its dissector: echoes, errors, groups, cut and short messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core_capture.reference._packets import A6, B6, A, B, ip
from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture

PAIRS = ((A, B), (A, "255.255.255.255"), (A, "224.0.0.1"), (A6, B6), (A6, "ff02::2"))
TYPES = (0, 3, 8, 9, 128, 129, 133)

ONE = st.tuples(
    st.sampled_from(PAIRS),
    st.booleans(),
    st.sampled_from(TYPES),
    st.integers(0, 2),
    st.integers(4, 12),
    st.integers(0, 3),
)


def message(kind: int, number: int, size: int = 12) -> bytes:
    return bytes((kind, number, 0, 0, 0, 1, 0, number)).ljust(size, b"x")[:size]


@given(st.lists(ONE, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_made_up(messages: list[tuple[tuple[str, str], bool, int, int, int, int]]) -> None:
    capture = Capture()
    for ends, is_back, kind, number, size, lost in messages:
        source, target = reversed(ends) if is_back else ends
        packet = ip(message(kind, number, size), 1 if "." in source else 58, source, target)
        capture.add(packet[: len(packet) - lost], len(packet))
    assert_scanned_as_dissected(capture.segments())


@pytest.mark.parametrize(("ends", "kind"), [((A, B), 8), ((A, "224.0.0.1"), 8), ((A6, "ff02::2"), 133)])
def test_plain_ones_are_taken(ends: tuple[str, str], kind: int) -> None:
    capture = Capture()
    for number in range(3):
        capture.add(ip(message(kind, number), 1 if kind == 8 else 58, *ends))
    assert assert_scanned_as_dissected(capture.segments())["icmp"] == 3
