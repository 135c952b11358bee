"""Two sources as one: numbers go on, interfaces are told apart, it ends with the last of them."""

from __future__ import annotations

import struct

from kubeshark.core_capture._records import Interface, PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.live import Counters, JoinedSource

RECORD = struct.pack("<IIII", 1, 2, 1, 1) + b"x"


class Played:
    """A source of a few batches; `quiet`: one that gives nothing first."""

    waits = False

    def __init__(self, name: str, *numbers: int, capabilities: frozenset[int] = frozenset()) -> None:
        self.name, self.problems, self.capabilities = name, list[str](), capabilities
        self.metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 100, name=f"{name}{at}") for at in (0, 1)])
        self._left = [
            RecordBatch(1, RECORD * 2, range(2), dict.fromkeys(range(2), PacketExtra(number)) if number else {})
            for number in numbers
        ]
        self.is_stopped = self.is_closed = False

    @property
    def is_finished(self) -> bool:
        return not self._left and self.is_stopped

    def read(self, timeout_s: float) -> RecordBatch | None:
        return self._left.pop(0) if self._left else None

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        self.is_closed = True

    def counters(self) -> list[Counters]:
        return [Counters(received=1), Counters(received=2)]

    def take_notices(self) -> list[str]:
        return [self.name]


def test_packets_of_all_with_one_numbering() -> None:
    a, b = Played("a", 0, 1), Played("b", 0, 1, capabilities=frozenset({19}))
    with JoinedSource([a, b]) as source:
        assert [each.name for each in source.metadata.interfaces] == ["a0", "a1", "b0", "b1"]
        assert source.capabilities == {19}
        found = [source.read(0.01) for _ in range(4)]
        assert source.read(0.01) is None
        assert not source.is_finished
        source.stop()
        assert source.is_finished
        assert len(source.counters()) == 4
        assert source.take_notices() == ["a", "b"]
    assert a.is_closed
    assert b.is_closed
    batches = [batch for batch in found if batch]
    assert [batch.ordinals for batch in batches] == [range(2), range(2, 4), range(4, 6), range(6, 8)]
    numbers = [[batch.extras[at].interface if at in batch.extras else 0 for at in range(2)] for batch in batches]
    assert numbers == [[0, 0], [2, 2], [1, 1], [3, 3]]
