"""What every dissector owes its host, checked from outside: pieces never matter, and no bytes break it.

Pure: how a plugin is called is the caller's. The streams are the plugin's own captures (golden vectors), those cut and
joined, with holes or begun in the middle, and made-up bytes; the same seed gives the same streams. A stream that shows
something wrong is made shorter while it still does.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from kubeshark.extension_api._frame import FrameItem, FrameMessage, ItemFlag
from kubeshark.extension_api._models import MessageKind

__all__ = ["Finding", "Vector", "check_cuts", "check_sides", "made_up", "read_vectors", "shrink", "written"]

SHORT = 600  # bytes of a side: up to here every single cut is tried
TCP = 6
GAP_BYTES = 4  # that stand for missing ones
MANY_CUTS = 64  # tried on longer ones, and at random
Ask = Callable[[Sequence[FrameItem]], Sequence[tuple[int, Sequence[FrameMessage]]]]
"""Gives items of any number to `dissect`; returns bytes consumed and messages of each. May raise for a failure."""


class Vector(Struct, frozen=True):
    """Bytes of one side of a stream."""

    name: str
    direction: int
    data: bytes
    server_port: int = 0
    transport: int = 6  # IP protocol number; a datagram of another one comes whole
    gaps: tuple[tuple[int, int, int], ...] = ()  # (start, end, missing), as a StreamSide has them
    starts_midway: bool = False

    def runs(self) -> list[tuple[int, int, bool]]:
        """Return (start, end, behind a gap) of the bytes between gaps; one empty run where there are none."""
        found, start, after_gap = [], 0, False
        for gap_start, gap_end, _ in self.gaps:
            if gap_start > start:
                found.append((start, gap_start, after_gap))
            start, after_gap = gap_end, True
        if start < len(self.data) or not found:
            found.append((start, len(self.data), after_gap))
        return found


class Finding(Struct, frozen=True):
    """Something a plugin does wrong: which vector, and what."""

    vector: str
    text: str

    def __str__(self) -> str:
        return f"{self.vector}: {self.text}"


def feed(ask: Ask, vector: Vector, cuts: Sequence[int] = ()) -> list[Any]:
    """Return the messages of a side that arrives in pieces: what is not consumed comes again, with more behind it.

    What is not consumed before a gap is lost. A side that ends in a gap has no last piece.
    """
    found: list[Any] = []
    for run_start, run_end, after_gap in vector.runs():
        start = run_start
        for end in [*sorted({cut for cut in cuts if run_start < cut < run_end}), run_end]:
            flags = ItemFlag.LAST if end == len(vector.data) else ItemFlag(0)
            flags |= ItemFlag.FIRST if start == 0 else ItemFlag(0)
            flags |= ItemFlag.GAP if start == run_start and (after_gap or vector.starts_midway) else ItemFlag(0)
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


def shrink(vector: Vector, is_wrong: Callable[[Vector], bool], attempts: int = 200) -> Vector:
    """Return the vector without what is not needed for it to be wrong: gaps first, then parts, large ones first."""
    for simpler in (replace(vector, gaps=()), replace(vector, gaps=(), starts_midway=False)):
        if simpler != vector and is_wrong(simpler):
            vector = simpler
    if vector.gaps:
        return vector  # its gaps matter, and parts of it cannot go without moving them
    size = len(vector.data) // 2
    while size and attempts:
        at = 0
        while at < len(vector.data) and attempts:
            attempts -= 1
            shorter = replace(vector, data=vector.data[:at] + vector.data[at + size :])
            if is_wrong(shorter):
                vector = shorter
            else:
                at += size
        size //= 2
    return vector


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
        made = Vector(f"made-up {number}", base.direction, bytes(data[:8192]), base.server_port, base.transport)
        if made.transport == TCP and len(made.data) > GAP_BYTES and chance.random() < 0.4:
            made = _with_holes(made, chance)
        yield made


def _with_holes(vector: Vector, chance: random.Random) -> Vector:
    """Return the vector with up to three gaps, as reassembly leaves them: zeros where bytes are missing."""
    data, gaps, at = bytearray(vector.data), [], 0
    for _ in range(chance.randrange(4)):
        if at + GAP_BYTES >= len(data):
            break
        start = chance.randrange(at, len(data) - GAP_BYTES)
        data[start : start + GAP_BYTES] = bytes(GAP_BYTES)
        gaps.append((start, start + GAP_BYTES, chance.choice((1, GAP_BYTES, 1448))))
        at = start + GAP_BYTES + 1
    gaps = [gap for gap in gaps if gap[0]]  # one at the start is no gap: the side begins midway
    return replace(vector, data=bytes(data), gaps=tuple(gaps), starts_midway=chance.random() < 0.3)


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


def written(vector: Vector, messages: Sequence[Any]) -> str:
    """Return a line of a file of vectors: a side, and the messages (as JSON objects) that a dissector finds in it."""
    side = asdict(vector) | {"data": base64.b64encode(vector.data).decode()}
    return json.dumps(side | {"messages": list(messages)}, ensure_ascii=False)


def read_vectors(text: str, name: str) -> list[tuple[Vector, list[Any]]]:
    """Return the vectors of such a file, with the messages they must give; ValueError names the line that is wrong."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            side = json.loads(line)
            messages = side.pop("messages")
            side["gaps"] = tuple((start, end, missing) for start, end, missing in side["gaps"])
            vector = Vector(**side | {"data": base64.b64decode(side["data"], validate=True)})
            ends = [0, *(place for start, end, _ in vector.gaps for place in (start, end)), len(vector.data)]
            if ends != sorted(ends) or not isinstance(messages, list):
                raise ValueError("gaps out of order, or messages that are no list")  # noqa: TRY301
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{name}:{number}: no vector: {error}") from error
        found.append((vector, messages))
    return found
