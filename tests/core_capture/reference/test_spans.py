"""The byte that came first stays: against a model that keeps one byte at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.reference._spans import Spans

PIECES = st.lists(st.tuples(st.integers(-20, 60), st.binary(max_size=16)), max_size=20)


@given(PIECES)
def test_like_a_dictionary_of_bytes(pieces: list[tuple[int, bytes]]) -> None:
    spans, model = Spans(), {}
    owner_of: dict[int, int] = {}
    for owner, (start, piece) in enumerate(pieces):
        added = spans.add(start, piece, owner)
        places = dict(enumerate(piece, start))
        assert added.new == len(places.keys() - model.keys())
        assert added.differing == sum(model[at] != byte for at, byte in places.items() if at in model)
        for at, byte in places.items():
            owner_of.setdefault(at, owner)
            model.setdefault(at, byte)
    stored = {
        start + at: (byte, owner)
        for start, piece, owner in zip(spans.starts, spans.pieces, spans.owners, strict=True)
        for at, byte in enumerate(piece)
    }
    assert stored == {at: (byte, owner_of[at]) for at, byte in model.items()}
    assert spans.starts == sorted(spans.starts)
    assert all(spans.byte(at) == model.get(at) for at in range(-25, 80))
    assert all(spans.count_below(end) == sum(at < end for at in model) for end in range(-25, 80))


def test_join() -> None:
    spans = Spans()
    spans.add(4, b"efgh")
    spans.add(0, b"abcd")
    assert spans.join(6) == b"abcdef"
    spans.clear()
    assert spans.count_below(100) == 0
