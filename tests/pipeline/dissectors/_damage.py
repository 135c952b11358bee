"""What must hold of any dissector whatever its input: messages lie in the bytes, in order, and details can be built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message

from ._streams import FakeStream, tcp

__all__ = ["assert_sound", "damaged_streams", "document", "found_by", "variables"]


def found_by(dissector: Any, protocol: Any, stream: FakeStream) -> list[Message]:
    """Return the messages of a stream in the order of sides and offsets."""
    found = [message for message in dissector.dissect(protocol, [stream])[0] if isinstance(message, Message)]
    return sorted(found, key=lambda message: (message.direction, message.datagram, message.start))


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def variables(message: Message) -> dict[str, Any]:
    """Return the variables of the summary and of the detail."""
    assert message.detail
    return {**message.fields, **message.detail()[0]}


def assert_sound(messages: Sequence[Message | Handover], stream: FakeStream, *, interleaved: bool = False) -> None:
    """Messages lie inside their bytes and, unless `interleaved`, do not overlap; their details are JSON."""
    ends: dict[tuple[int, int], int] = {}
    for message in sorted(
        (message for message in messages if isinstance(message, Message)),
        key=lambda message: (message.datagram, message.direction, message.start),
    ):
        if stream.sides:
            size = len(stream.sides[message.direction].data)
        else:
            size = len(stream.datagrams[message.datagram].data)
        place = (message.datagram, message.direction)
        assert ends.get(place, 0) <= message.start < message.end <= size
        ends[place] = message.start if interleaved else message.end
        if message.detail:
            json.dumps(message.detail()[1], allow_nan=False)


def damaged_streams(client: bytes, server: bytes, port: int) -> st.SearchStrategy[FakeStream]:
    """Make streams of these bytes with a piece replaced, cut, lost, or seen from the middle; or of any bytes."""

    def hit(side: bytes, at: int, junk: bytes, removed: int, cut: int) -> bytes:
        at %= len(side) + 1
        return (side[:at] + junk + side[at + removed :])[: max(0, len(side) - cut)]

    def make(kind: int, at: int, junk: bytes, removed: int, cut: int, midway: bool) -> FakeStream:
        if kind == 0:
            return tcp(junk, junk[::-1], port=port, midway=midway)
        new = [hit(side, at, junk, removed, cut) for side in (client, server)]
        gaps = {}
        if kind == 2:
            for side, data in enumerate(new):
                start = at % (len(data) + 1)
                end = min(start + removed, len(data))
                if start < end:
                    new[side] = data[:start] + bytes(end - start) + data[end:]
                    gaps[side] = [(start, end, end - start + len(junk))]
        return tcp(new[0], new[1], port=port, midway=midway, gaps=gaps)

    size = max(len(client), len(server))
    return st.builds(
        make,
        st.integers(0, 2),
        st.integers(0, size),
        st.binary(max_size=24),
        st.integers(0, 24),
        st.one_of(st.just(0), st.integers(0, size)),
        st.booleans(),
    )
