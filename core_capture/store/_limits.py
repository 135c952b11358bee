"""Sizes of the store, each with its reason. Nothing here is a preference: readers refuse what exceeds them."""

from __future__ import annotations

__all__ = [
    "BLOCK_BYTES",
    "CATALOGUE_BYTES_A_FILE",
    "CATALOGUE_TEXT_A_FILE",
    "HELD_SEGMENTS",
    "KEPT_INDEX_BYTES",
    "LEAST_HELD_SEGMENTS",
    "LIVE_SEGMENT_BYTES",
    "MAX_BLOCK_BYTES",
    "MAX_CATALOGUE_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_INDEX_BYTES",
    "MAX_META_BYTES",
    "MAX_PIECE_BYTES",
    "MAX_PIECE_META_BYTES",
    "MAX_SEGMENT_BYTES",
    "MAX_STATE_BYTES",
    "PIECE_BYTES",
    "SEGMENT_BYTES",
    "SNAPLEN",
    "STALE_CATALOGUE_BYTES",
]

SEGMENT_BYTES = 64 << 20
"""Records are sealed into a segment at this size; larger ones make time-window queries pay, smaller ones all others.

Of 200 MB, in segments of 32 and 64 MiB, with cold processor caches: all DNS took 27 and 19 ms CPU, 1 % of the time 42
and 65, where tcpdump took 100 for either.
"""

LIVE_SEGMENT_BYTES = 32 << 20
"""The same of a capture, which holds up to three in memory that it has to touch first: of 1400-byte packets that cost
as much as the log did."""

LEAST_HELD_SEGMENTS = 3
"""How many a writer needs in memory beside a disk that keeps up: one fills, one waits, one is being sealed."""

HELD_SEGMENTS = 8
"""How many of these a capture may hold while a disk is slow: 256 MiB, two seconds of 120 MB/s without a sync."""

MAX_SEGMENT_BYTES = 256 << 20
"""The most a caller may ask for: a segment is decoded in one piece, and its packet offsets are u32."""

BLOCK_BYTES = 256 << 10
"""Records in one zstd frame: at 64 KiB the ratio drops by a tenth, at 1 MiB a short flow costs four times as much."""

MAX_BLOCK_BYTES = (1 << 20) + 16
"""A block holds more than BLOCK_BYTES only if it is one record: MAX_CAPTURED and its header."""

MAX_INDEX_BYTES = 1 << 30
"""Plaintext of an index: MAX_SEGMENT_BYTES of the shortest packets that make a flow each (50 bytes) need 0.6 GiB."""

MAX_META_BYTES = 1 << 20
"""JSON of an index: a dozen numbers and hashes, and the source's path."""

KEPT_INDEX_BYTES = 64 << 20
"""Decoded indexes an open store keeps: some hundred segments."""

MAX_CATALOGUE_BYTES = 1 << 30
"""Plaintext of the catalogue: at most 10 KiB a segment, so 100,000 segments (3 TB of packets)."""

STALE_CATALOGUE_BYTES = 16 << 20
"""A catalogue may list segments that are gone: as much of it is read in any store, and a quarter of that as JSON."""

CATALOGUE_BYTES_A_FILE = 64 << 10
"""… and this for each file of the store: a segment has two, and takes 80 KiB at the very most. Who can write one file
to a store shall not make its readers take memory as if it held 100,000 segments: it took 2.1 GB."""

CATALOGUE_TEXT_A_FILE = 2 << 10
"""Of that as JSON, which takes six times as much when it is decoded; names and hashes of a segment are 600 bytes."""

MAX_HEADER_BYTES = 1 << 16
"""An age header: room for some 500 recipients; age itself has no limit, and a reader must stop somewhere."""

PIECE_BYTES = 16 << 20
"""Records that are a piece of the log before their time: at 1 GB/s every 16 ms. A piece costs 1.5 ms, whatever lies in
it."""

MAX_PIECE_BYTES = 24 << 20
"""What came while the log's thread woke up goes with it; more is cut where a record ends."""

MAX_PIECE_META_BYTES = 64 << 20
"""What a piece says of its packets: at most 1,570,000 of them, each with an ordinal and extras; the rest is options."""

MAX_STATE_BYTES = 1 << 20
"""store.json: one chain head a node and the recipients."""

SNAPLEN = 262_144
"""What our pcap headers say, as tcpdump's do; a longer record is still read by every tool we know."""
