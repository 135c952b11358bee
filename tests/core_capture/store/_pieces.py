"""Logs for the tests: packets of one open segment, cut into pieces as a writer would."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from kubeshark.core_capture._records import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import log_name, make_name
from kubeshark.core_capture.store.segments._info import Counters
from kubeshark.core_capture.store.writing._piece import Origin, Piece, write_piece
from tests.core_capture.store._bench import START_NS, Bench

__all__ = ["NAME", "make_piece", "pieces", "put"]

NAME = make_name(START_NS, "node-a", 1)
SECRET = RawBlock(10, b"\x4b\x53\x4c\x54" + bytes(4), before_ordinal=3)


def make_piece(items: Sequence[bytes], *, first: int = 0, number: int = 1, name: str = NAME) -> Piece:
    """Return a piece of packets whose ordinals begin with `first`; every fourth one has extras."""
    return Piece(
        segment=name,
        number=number,
        node="node-a",
        created="2023-11-14T22:13:20Z",
        link_type=1,
        data=b"".join(items),
        ordinals=np.arange(first, first + len(items), dtype=np.uint64),
        extras={at: PacketExtra(1, bytes([2, 0, 4, 0, at % 256, 0, 0, 1])) for at in range(-first % 4, len(items), 4)},
        origin=Origin("eth0"),
        metadata=SourceMetadata("pcapng", interfaces=[Interface(1, 65_535, name="eth0"), Interface(1, 65_535)]),
        first_block=0,
        counters=(Counters(received=first + len(items) + 3, dropped=3, stored=first + len(items)), Counters()),
    )


def pieces(items: Sequence[bytes], cuts: Sequence[int]) -> list[Piece]:
    """Cut packets into pieces; the first brings a block, which the others count."""
    bounds = [0, *cuts, len(items)]
    made = [
        make_piece(items[start:end], first=start, number=number)
        for number, (start, end) in enumerate(pairwise(bounds), start=1)
    ]
    made[0] = replace(made[0], metadata=replace(made[0].metadata, blocks=[SECRET]))
    return [made[0], *(replace(piece, first_block=1) for piece in made[1:])]


def put(bench: Bench, made: Sequence[Piece], *, key: NodeKey | None = None, files: Backend | None = None) -> None:
    """Write pieces into a store."""
    bench.open()
    files = files or bench.backend
    for piece in made:
        with files.create(".tmp-piece") as out:
            write_piece(out, piece, [bench.me.recipient], key or bench.key)
        files.publish(".tmp-piece", log_name(piece.segment, piece.number))
