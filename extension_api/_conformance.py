"""What every dissector owes its host, checked from outside: pieces never matter, and no bytes break it.

Pure: how a plugin is called is the caller's. The streams are the plugin's own captures (golden vectors), those cut and
joined, and made-up bytes; the same seed gives the same streams.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kubeshark.extension_api._frame import FrameItem, FrameMessage, ItemFlag
from kubeshark.extension_api._models import MessageKind

__all__ = ["Finding", "Vector", "check_cuts", "check_sides", "made_up"]

SHORT = 600  # bytes of a side: up to here every single cut is tried
TCP = 6
MANY_CUTS = 64  # tried on longer ones, and at random
Ask = Callable[[Sequence[FrameItem]], Sequence[tuple[int, Sequence[FrameMessage]]]]
"""Gives items of any number to `dissect`; returns bytes consumed and messages of each. May raise for a failure."""


@dataclass(frozen=True, slots=True)
class Vector:
    """Bytes of one side of a stream."""

    name: str
    direction: int
    data: bytes
    server_port: int = 0
    transport: int = 6  # IP protocol number; a datagram of another one comes whole


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a plugin does wrong: which vector, and what."""

    vector: str
    text: str

    def __str__(self) -> str:
        return f"{self.vector}: {self.text}"


def feed(ask: Ask, vector: Vector, cuts: Sequence[int] = ()) -> list[Any]:
    """Return the messages of a side that arrives in pieces: what is not consumed comes again, with more behind it."""
    found: list[Any] = []
    start = 0
    ends = [*sorted(set(cuts) - {0, len(vector.data)}), len(vector.data)]
    for end in ends:
        flags = ItemFlag.LAST if end == len(vector.data) else ItemFlag(0)
        flags |= ItemFlag.FIRST if start == 0 else ItemFlag(0)
        item = FrameItem(
            vector.data[start:end],
            direction=vector.direction,
            flags=flags,
            base=start,
            transport=vector.transport,
            client_port=40_000,
            server_port=vector.server_port,
        )
        ((consumed, messages),) = ask([item])
        for message in messages:
            place = start + message.start, start + message.end
            rest = message.one_way, message.interim, message.key, sorted(message.fields.items()), message.error
            found.append((int(message.kind), *place, *rest))
        start += consumed
    return found


def check_cuts(ask: Ask, vector: Vector, chance: random.Random) -> Iterator[Finding]:
    """Compare a side in one piece with the same side in two, at every place, and in many. A datagram is only given."""
    try:
        whole = feed(ask, vector)
    except Exception as error:  # noqa: BLE001 (whatever the caller raises for a failure)
        yield Finding(vector.name, f"fails on it: {error}")
        return
    size = len(vector.data) if vector.transport == TCP else 0
    places = range(1, size) if size <= SHORT else sorted(chance.sample(range(1, size), MANY_CUTS))
    trials = [[place] for place in places]
    trials += [sorted(chance.choices(range(size + 1), k=chance.randrange(2, 9))) for _ in range(8)] if size else []
    if size <= SHORT:
        trials.append(list(range(1, size)))
    for cuts in trials:
        try:
            pieces = feed(ask, vector, cuts)
        except Exception as error:  # noqa: BLE001 (as above)
            yield Finding(vector.name, f"fails when cut at {_shown(cuts)}: {error}")
            return
        if pieces != whole:
            yield Finding(vector.name, f"differs when cut at {_shown(cuts)}: {_difference(whole, pieces)}")
            return


def check_sides(ask: Ask, vectors: Sequence[Vector]) -> Iterator[Finding]:
    """Give all sides in one batch: what one holds must not change what another gives."""
    alone = []
    for vector in vectors:
        try:
            ((_, messages),) = ask([_whole(vector)])
        except Exception:  # noqa: BLE001 (check_cuts says so)
            return
        alone.append(messages)
    items = [_whole(vector)._replace(stream=at) for at, vector in enumerate(vectors)]
    for vector, before, (_, messages) in zip(vectors, alone, ask(items), strict=True):
        if [message._replace(item=0) for message in messages] != [message._replace(item=0) for message in before]:
            yield Finding(
                vector.name, "gives something else in a batch with other streams: it keeps state between items"
            )


def _whole(vector: Vector) -> FrameItem:
    return FrameItem(
        vector.data,
        direction=vector.direction,
        transport=vector.transport,
        flags=ItemFlag.FIRST | ItemFlag.LAST,
        client_port=40_000,
        server_port=vector.server_port,
    )


def made_up(vectors: Sequence[Vector], count: int, chance: random.Random) -> Iterator[Vector]:
    """Yield streams nobody sent: parts of the golden ones repeated, joined, changed, cut short, and noise."""
    for number in range(count):
        base = chance.choice(vectors) if vectors else Vector("", chance.randrange(2), b"")
        data = bytearray(base.data[: chance.randrange(len(base.data) + 1)] if base.data else b"")
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(5):
                case 0:
                    data[at:at] = chance.randbytes(chance.randrange(1, 40))
                case 1:
                    del data[at : at + chance.randrange(1, 40)]
                case 2 if data:
                    data[min(at, len(data) - 1)] = chance.choice((0, 10, 13, 32, 255, chance.randrange(256)))
                case 3 if vectors:
                    other = chance.choice(vectors).data
                    data[at:at] = other[: chance.randrange(len(other) + 1)]
                case _:
                    data += bytes([chance.randrange(256)]) * chance.choice((1, 70, 1100))
        yield Vector(f"made-up {number}", base.direction, bytes(data[:8192]), base.server_port, base.transport)


def _shown(cuts: Sequence[int]) -> str:
    return ", ".join(map(str, cuts[:8])) + (", …" if len(cuts) > 8 else "")


def _difference(whole: Sequence[Any], pieces: Sequence[Any]) -> str:
    for at, (left, right) in enumerate(zip(whole, pieces, strict=False)):
        if left != right:
            return f"message {at} is {_text(right)}, in one piece {_text(left)}"
    return f"{len(pieces)} messages, in one piece {len(whole)}"


def _text(message: Any) -> str:
    kind, start, end, *_, fields, error = message
    return f"{MessageKind(kind).name.lower()} {start}-{end} {dict(fields)}{f' ({error})' if error else ''}"[:200]
