"""One piece of the write-ahead log: packets of an open segment, as they came (docs/adr/0020-write-ahead-log.md).

    u32 0x184D2A50 | u32 n | n bytes: zstd frame of ( container KSHKLOG1 | Ed25519 signature )
    zstd frame with the pcap header | zstd frames of records, cut anywhere

all of it age-encrypted like a segment, so that `age -d | zstd -d` gives a pcap. What is said about the packets comes
first: a file that lost its end keeps the packets before, with everything that is known of them.

1. The signature covers the name of the segment, the number, and the name of the age payload, which only the holder of
   the file key can give: a piece can be taken away, but not changed, renumbered or moved to another segment.
2. `decode_piece` is the only way in: every length is checked, and what it returns fits together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import zstandard
from msgspec import Meta, Struct, field
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import RECORD_HEADER_BYTES, PacketExtra, SourceMetadata
from kubeshark.core_capture.store._limits import BLOCK_BYTES, MAX_PIECE_BYTES, MAX_PIECE_META_BYTES
from kubeshark.core_capture.store.keys._age_format import CHUNK
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter, Lend, Sink
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES, NodeKey, is_signed
from kubeshark.core_capture.store.places._backend import RangeFile
from kubeshark.core_capture.store.segments._container import Column, Contents, decoder, pack, unpack
from kubeshark.core_capture.store.segments._extras import decode_packets, packet_columns
from kubeshark.core_capture.store.segments._index import inflate
from kubeshark.core_capture.store.segments._info import Count, Counters
from kubeshark.core_capture.store.segments._scheduled import Scheduled
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.errors import Damaged

__all__ = ["Forged", "Origin", "Piece", "Renumbered", "decode_piece", "write_piece"]

_MAGIC = b"KSHKLOG1"
_HEAD = struct.Struct("<II")
_SKIPPABLE = 0x184D2A50
_LEVEL = -20
_SAMPLE_BYTES = 8 << 10  # of a frame, to tell whether compressing it pays
_PAYS = 4
"""Times that records must shrink to be compressed. Encrypting and writing a byte costs 0.55 ns. Compressing one costs
0.1 ns where it shrinks to a tenth or not at all, and 0.55 ns where it shrinks to a half: that costs more than it saves.
"""

_RAW_FRAME = struct.pack("<IB", 0xFD2FB528, 0b1010_0000)  # one segment, its size in four bytes (RFC 8878 §3.1.1.1)
_RAW_BLOCK_BYTES = 128 << 10  # the most a block may hold
_MAX_FRAMES = -(-MAX_PIECE_BYTES // BLOCK_BYTES) + 1
_MAX_PLAIN_BYTES = _HEAD.size + 2 * MAX_PIECE_META_BYTES + 2 * MAX_PIECE_BYTES  # far more than zstd ever adds

Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Forged(Damaged):
    """A piece that the node it names did not write in this place."""


class Renumbered(Forged):
    """A piece of this segment and its node, under another number than its own."""

    def __init__(self, number: int, segment: str, *, file: str) -> None:
        self.number = number
        super().__init__(f"is piece {number} of {segment[:100]!r}, put in another's place", file=file)


class Origin(Struct, frozen=True):
    """Where the packets of an open segment come from."""

    name: str
    sha256: str = ""  # hex; "" where there is none (live capture)
    size: int = -1  # bytes, -1 unknown


class _Meta(Struct, frozen=True):
    segment: str
    number: Annotated[int, Meta(ge=1, lt=10**6)]
    node: str
    created: str
    link_type: Annotated[int, Meta(ge=0, lt=1 << 32)]
    packets: Annotated[int, Meta(ge=0, le=MAX_PIECE_BYTES // RECORD_HEADER_BYTES)]
    raw_bytes: Annotated[int, Meta(ge=0, le=MAX_PIECE_BYTES)]  # of records
    first_ordinal: Annotated[int, Meta(ge=0, lt=1 << 61)]
    origin: Origin
    metadata: SourceMetadata  # `blocks` only those not in an earlier piece of the segment
    first_block: Count
    counters: tuple[Counters, ...]
    public_key: Hex
    payload: Hex  # of the age file this is in
    version: Literal[1] = 1
    scheduled: Scheduled | None = None  # not in older pieces


decoder(_Meta)


class Piece(Struct, frozen=True):
    """Packets of an open segment in capture order, and what is known of it by now."""

    segment: str
    number: int  # the first is 1
    node: str
    created: str  # RFC 3339: when the segment was opened
    link_type: int
    data: bytes | memoryview  # records
    ordinals: Sequence[int] | NDArray[Any]  # u8 where it is an array; ascending
    extras: Mapping[int, PacketExtra]  # by packet of the piece
    origin: Origin
    metadata: SourceMetadata  # `blocks` only those not in an earlier piece of the segment
    first_block: int  # their number in the source
    counters: tuple[Counters, ...] = ()  # of a capture, by interface
    public_key: str = ""  # of the node that signed it, hex
    scheduled: Scheduled | None = None  # in whose windows they were captured
    lost: int = field(default=0)  # packets at its end that cannot be read any more
    surplus: int = 0  # bytes behind the end of its file, which are none of its own


def write_piece(
    out: Sink, piece: Piece, recipients: Sequence[Recipient], key: NodeKey, *, lend: Lend | None = None
) -> int:
    """Write a piece as a whole age file, signed with `key`; return its bytes before encryption.

    Nothing that could decrypt it is kept. `lend` is `AgeWriter`'s.
    """
    if len(piece.data) > MAX_PIECE_BYTES:
        raise ValueError(f"{len(piece.data):,} bytes in a piece of the log")
    age = AgeWriter(out, recipients, lend=lend)
    frames = [*_frames(piece)]
    sizes = [sum(map(len, frame)) for frame in frames]
    count = len(piece.ordinals)
    first = int(piece.ordinals[0]) if count else 0
    columns = [Column("frame_bytes", np.array(sizes, dtype=np.uint32))]
    if count and int(piece.ordinals[-1]) - first != count - 1:
        columns.append(
            Column("ordinals", np.asarray(piece.ordinals, dtype=np.uint64) - np.uint64(first), "delta planes")
        )
    if piece.extras:
        columns += packet_columns(piece.extras)
    meta = _Meta(
        segment=piece.segment,
        number=piece.number,
        node=piece.node,
        created=piece.created,
        link_type=piece.link_type,
        packets=count,
        raw_bytes=len(piece.data),
        first_ordinal=first,
        origin=piece.origin,
        metadata=piece.metadata,
        first_block=piece.first_block,
        counters=piece.counters,
        public_key=key.public,
        payload=age.payload_id,
        scheduled=piece.scheduled,
    )
    body = pack(_MAGIC, meta, columns)
    head = zstandard.ZstdCompressor(level=1).compress(body + key.sign(body))
    age.write(_HEAD.pack(_SKIPPABLE, len(head)) + head)
    for frame in frames:
        for part in frame:
            age.write(part)
    return age.finish().size


def decode_piece(file: RangeFile, identities: Sequence[Identity], core: Core, *, segment: str, number: int) -> Piece:
    """Read the piece `number` of `segment`, as far as it is whole; closes `file`.

    Raise FileNotFoundError, NotForUsError, Forged, or Damaged where nothing of it can be used.
    """
    with AgeReader(file, identities, truncated=True) as age:
        name, payload = age.name, age.payload_id
        if age.size > _MAX_PLAIN_BYTES:
            raise Damaged(f"{age.size:,} bytes where {_MAX_PLAIN_BYTES:,} are allowed", file=name)
        plain, is_whole, surplus = _read(age)
    contents, at = _decode_head(plain, name)
    meta = contents.meta
    if (meta.segment, meta.payload) == (segment, payload) and meta.number != number:
        raise Renumbered(meta.number, segment, file=name)
    if (meta.segment, meta.payload) != (segment, payload):
        raise Forged(f"is piece {meta.number} of {meta.segment[:100]!r}, put in another's place", file=name)
    data, is_complete = _inflate_frames(plain, at, contents, name)
    offsets, end = core.offsets(data)
    count = len(offsets)
    if is_whole and is_complete:
        if end != len(data) or count != meta.packets:
            raise Damaged("its records are not those it counts", file=name)
    elif count > meta.packets:
        raise Damaged("has more records than it counts", file=name)
    extras = decode_packets(contents, meta.packets, len(meta.metadata.interfaces))
    return Piece(
        segment=meta.segment,
        number=meta.number,
        node=meta.node,
        created=meta.created,
        link_type=meta.link_type,
        data=memoryview(data)[:end],
        ordinals=_ordinals(contents, name)[:count],
        extras=extras if count == meta.packets else {at: extra for at, extra in extras.items() if at < count},
        origin=meta.origin,
        metadata=meta.metadata,
        first_block=meta.first_block,
        counters=meta.counters,
        public_key=meta.public_key,
        scheduled=meta.scheduled,
        lost=meta.packets - count,
        surplus=surplus,
    )


def _frames(piece: Piece) -> Iterator[Sequence[bytes | memoryview]]:
    """Yield the zstd frames of a piece, each in parts; records that do not shrink much are not copied."""
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    records = memoryview(piece.data)
    yield [compress(pcap_header(piece.link_type))]
    for at in range(0, len(records), BLOCK_BYTES):
        block = records[at : at + BLOCK_BYTES]
        sample = block[:_SAMPLE_BYTES]
        yield [compress(block)] if len(compress(sample)) * _PAYS <= len(sample) else _raw_frame(block)


def _raw_frame(data: memoryview) -> list[bytes | memoryview]:
    """Return a zstd frame of blocks that are not compressed (RFC 8878 §3.1.1.2)."""
    parts: list[bytes | memoryview] = [_RAW_FRAME + len(data).to_bytes(4, "little")]
    for at in range(0, len(data), _RAW_BLOCK_BYTES):
        block = data[at : at + _RAW_BLOCK_BYTES]
        is_last = at + len(block) == len(data)
        parts += [(len(block) << 3 | is_last).to_bytes(3, "little"), block]
    return parts


def _read(age: AgeReader) -> tuple[bytes, bool, int]:
    """Return the plaintext up to the first chunk that fails, whether that is all, and the bytes behind its end."""
    surplus = age.find_end(_measure) if age.is_cut else 0
    try:
        return age.read(0, age.size), not age.is_cut, surplus
    except Damaged:
        pass
    chunks = list[bytes]()
    for at in range(0, age.size, CHUNK):
        try:
            chunks.append(age.read(at, CHUNK))
        except Damaged:
            break
    return b"".join(chunks), False, surplus


def _measure(plain: bytes) -> int | None:
    """Return how many bytes a piece should have, by what its node signed at its begin; None without that."""
    try:
        contents, at = _decode_head(plain, "")
        return at + int(contents.column("frame_bytes", "<u4").sum())
    except Damaged:
        return None


def _decode_head(plain: bytes, name: str) -> tuple[Contents[_Meta], int]:
    """Return what a piece says about itself, once its signature was checked, and where its frames begin."""
    if len(plain) < _HEAD.size:
        raise Damaged("is cut before its packets", file=name)
    magic, length = _HEAD.unpack_from(plain)
    if magic != _SKIPPABLE or length > len(plain) - _HEAD.size:
        raise Damaged("does not begin as a piece of a log", file=name, offset=0)
    at = _HEAD.size + length
    head = inflate(memoryview(plain)[_HEAD.size : at], MAX_PIECE_META_BYTES, name)
    contents = unpack(head, _MAGIC, _Meta, name)
    if len(head) - contents.end != SIGNATURE_BYTES:
        raise Damaged("no signature behind its columns", file=name)
    if not is_signed(head[:-SIGNATURE_BYTES], head[-SIGNATURE_BYTES:], contents.meta.public_key):
        raise Forged("is not signed by the node it names", file=name)
    return contents, at


def _inflate_frames(plain: bytes, at: int, contents: Contents[_Meta], name: str) -> tuple[bytes, bool]:
    """Return the records of all frames that are there, and whether those are all."""
    meta, sizes = contents.meta, contents.column("frame_bytes", "<u4")
    if not 1 <= len(sizes) <= _MAX_FRAMES:
        raise Damaged(f"has {len(sizes)} frames", file=name)
    view, inflated, left = memoryview(plain), list[bytes](), meta.raw_bytes
    for number, size in enumerate(sizes.tolist()):
        if size > len(plain) - at:
            return b"".join(inflated), False
        frame = inflate(view[at : at + size], min(BLOCK_BYTES, left) if number else len(pcap_header(0)), name)
        at += size
        if number:
            inflated.append(frame)
            left -= len(frame)
        elif frame != pcap_header(meta.link_type):
            raise Damaged("does not begin with a pcap header of ours", file=name)
    if left or at != len(plain):
        raise Damaged("its frames are not those it counts", file=name)
    return b"".join(inflated), True


def _ordinals(contents: Contents[_Meta], name: str) -> NDArray[Any]:
    meta = contents.meta
    if "ordinals" not in contents:
        return np.arange(meta.first_ordinal, meta.first_ordinal + meta.packets, dtype=np.uint64)
    since = contents.column("ordinals", "<u8", (meta.packets,))
    if len(since) and (int(since.max()) >= 1 << 61 or int(since[0]) or not (since[1:] > since[:-1]).all()):
        raise Damaged("its ordinals do not ascend", file=name)
    ordinals: NDArray[Any] = since + np.uint64(meta.first_ordinal)
    return ordinals
