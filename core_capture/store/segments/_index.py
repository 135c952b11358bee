"""The index of a segment: what a query reads before it touches any packet (docs/adr/0002-segment-format.md).

    skippable frame: u32 main, u32 extras (lengths of the two frames) | zstd frame main | zstd frame extras

`main` is a container (`_container.py`) followed by its Ed25519 signature; `extras` (`_extras.py`) is read by exports
only, and `main` holds its SHA-256. Flow columns lie in cluster order, where neighbours resemble each other: that halves
the index. `decode_main` is the only way in: what it returned, every accessor may rely on.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import zstandard
from msgspec import Meta, Struct
from numpy.typing import NDArray

from kubeshark.core_capture._columns import FLOW, NO_FLOW
from kubeshark.core_capture._records import PCAP_HEADER_BYTES
from kubeshark.core_capture.store._limits import MAX_BLOCK_BYTES, MAX_META_BYTES
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES
from kubeshark.core_capture.store.places._names import INDEX_SUFFIX
from kubeshark.core_capture.store.segments._container import Coding, Column, Contents, decoder, pack, unpack
from kubeshark.core_capture.store.segments._info import Chain, Count, SegmentInfo
from kubeshark.errors import Damaged

__all__ = [
    "HEAD_BYTES",
    "Blocks",
    "DataFile",
    "FlowTable",
    "Flows",
    "Index",
    "IndexMeta",
    "Misplaced",
    "decode_main",
    "encode_main",
    "inflate",
    "inflate_to",
    "join",
    "split_head",
]

_MAGIC = b"KSHKIDX1"
_HEAD = struct.Struct("<IIII")
HEAD_BYTES = _HEAD.size
_SKIPPABLE = 0x184D2A50
_TIME_UNITS = (1000, 1)  # nanoseconds; most captures have microseconds, which saves a byte a time

# name, coding; all in cluster order. Dtypes and widths are those of FLOW.
_CLUSTERED: tuple[tuple[str, Coding], ...] = (
    ("a", "planes"),
    ("b", "planes"),
    ("port_a", "planes"),
    ("port_b", "planes"),
    ("transport", ""),
    ("ip_version", ""),
    ("client", ""),
    ("tunnel", ""),
    ("vlan", "planes"),
    ("bits", "planes"),
    ("packets", "planes"),
    ("bytes", "planes"),
    ("isn", "planes"),
)


class Flows(Struct, frozen=True):
    """The flow table of a segment that is written, and where each flow's records lie."""

    table: NDArray[Any]  # FLOW, by ordinal
    cluster: NDArray[Any]  # u4: ordinals in the order in which their records lie
    range_bytes: NDArray[Any]  # u8, by ordinal; 0 for a CARRIER
    records: NDArray[Any]  # u8, by ordinal: packets that point to the flow


class Blocks(Struct, frozen=True):
    """Where the blocks of a data file that is written lie: block i is offset[i]:offset[i+1] of the compressed pcap."""

    offset: NDArray[Any]  # u8, in the compressed pcap
    raw_start: NDArray[Any]  # u8, in the uncompressed pcap
    first_ns: NDArray[Any]  # u8, earliest time of a record
    last_ns: NDArray[Any]

    def __len__(self) -> int:
        return len(self.first_ns)


@dataclass(frozen=True, slots=True)
class DataFile:
    """What the index knows of its data file; length and tag bind the two together."""

    length: Count  # bytes of its age plaintext
    last_tag: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]  # of its last age chunk, hex
    raw_length: Annotated[int, Meta(ge=PCAP_HEADER_BYTES, lt=1 << 32)]  # bytes of the uncompressed pcap
    blocks: Annotated[int, Meta(ge=0, lt=1 << 31)]
    file_key: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = field(default="", repr=False)  # age's; "": not known
    nonce: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = (
        ""  # age's, of the payload; with the key and the size of the
    )
    # file it is all that reading needs: no request for the header


class IndexMeta(Struct, frozen=True):
    """The JSON of an index."""

    info: SegmentInfo
    chain: Chain
    data: DataFile
    extras_sha256: str  # of the extras frame, hex
    version: Literal[1] = 1


decoder(IndexMeta)  # made here, once, and not while the first index waits


class Misplaced(Damaged):
    """An index that lies under the name of another segment."""

    def __init__(self, name: str, *, file: str) -> None:
        self.belongs_to = name
        super().__init__(f"holds the index of {name[:100]!r}", file=file)


class FlowTable:
    """The flow table of an index. `table["port_a"]` decodes that column, by ordinal; `rows` all of them.

    `clustered` has the same columns in the order in which the flows' records lie, as the file has most of them: whoever
    needs no ordinals spares the detour. Every column is checked for what its readers rely on before it is given out;
    Damaged if it fails.
    """

    def __init__(self, contents: Contents[IndexMeta]) -> None:
        self._count = contents.meta.info.flows
        self._decoded: dict[str, NDArray[Any]] = {}
        self.clustered = ClusteredFlows(contents)

    @property
    def cluster(self) -> NDArray[Any]:
        """u4: the ordinals in cluster order."""
        return self.clustered.ordinals

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._decoded:
            self._decoded[name] = self.by_ordinal(self.clustered[name])
        return self._decoded[name]

    @cached_property
    def rows(self) -> NDArray[Any]:
        """The whole table as a FLOW array, by ordinal."""
        rows = np.zeros(self._count, dtype=FLOW)
        for name in FLOW.names or ():
            if name != "reserved":
                rows[name] = self[name]
        return rows

    @cached_property
    def range_bytes(self) -> NDArray[Any]:
        """u8, by ordinal: bytes of the flow's records; 0 for a CARRIER."""
        return self.by_ordinal(self.clustered.range_bytes)

    @cached_property
    def range_starts(self) -> NDArray[Any]:
        """u8, by ordinal: where the flow's records lie in the uncompressed pcap."""
        return self.by_ordinal(self.clustered.range_ends - self.clustered.range_bytes)

    def by_ordinal(self, clustered: NDArray[Any]) -> NDArray[Any]:
        """Return values that are given in cluster order by ordinal."""
        values: NDArray[Any] = np.empty_like(clustered)
        values[self.cluster] = clustered
        return values


class ClusteredFlows:
    """The columns of a flow table in cluster order."""

    def __init__(self, contents: Contents[IndexMeta]) -> None:
        self._contents = contents
        self._count = contents.meta.info.flows
        self._decoded: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._count

    @cached_property
    def ordinals(self) -> NDArray[Any]:
        """u4: whose column values these are, a permutation."""
        ordinals = self._contents.column("cluster", "<u4", (self._count,))
        seen = np.zeros(self._count, dtype=np.bool_)
        if self._count and int(ordinals.max()) < self._count:
            seen[ordinals] = True
        if not seen.all():
            raise Damaged("the cluster order is no permutation of the flows", file=self._contents.name)
        return ordinals

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._decoded:
            self._decoded[name] = self._decode(name)
        return self._decoded[name]

    @cached_property
    def range_bytes(self) -> NDArray[Any]:
        """u8: bytes of the flow's records; 0 for a CARRIER."""
        raw_length = self._contents.meta.data.raw_length
        stored = self._contents.column("range_bytes", "<u8", (len(self),))
        # Rows and lengths are below 2**32, so that the sum does not wrap.
        if len(stored) and (int(stored.max()) > raw_length or int(stored.sum()) > raw_length - PCAP_HEADER_BYTES):
            raise Damaged("the flows' ranges exceed the segment", file=self._contents.name)
        return stored

    @cached_property
    def range_ends(self) -> NDArray[Any]:
        """u8: where the flow's records end in the uncompressed pcap."""
        ends: NDArray[Any] = np.cumsum(self.range_bytes, dtype=np.uint64) + np.uint64(PCAP_HEADER_BYTES)
        return ends

    @cached_property
    def records(self) -> NDArray[Any]:
        """u8: packets that point to the flow."""
        packets = self["packets"]
        counted: NDArray[Any] = packets[:, 0].astype(np.uint64) + packets[:, 1]
        detached = self._contents.column("detached", "<u8", (len(self),))
        if (detached > counted).any() or int((counted - detached).sum()) > self._contents.meta.info.packets:
            raise Damaged("the flows' packets exceed the segment", file=self._contents.name)
        linked: NDArray[Any] = counted - detached
        return linked

    def _decode(self, name: str) -> NDArray[Any]:
        contents, shape = self._contents, (len(self),)
        match name:
            case "first_ns" | "last_ns":
                unit = contents.column("time_unit", "<u8", (1,))[0]
                values: NDArray[Any] = contents.column("first", "<u8", shape) * unit
                is_sound = True
                if name == "last_ns":
                    first, values = values, values + contents.column("span", "<u8", shape) * unit
                    is_sound = bool((values >= first).all())
                values = values[self.ordinals]
            case "carrier":
                values = contents.column(name, "<u4", shape)[self.ordinals]
                is_sound = bool(((values < len(self)) | (values == NO_FLOW)).all())
            case "first_packet":
                values = contents.column(name, "<u4", shape)[self.ordinals]
                is_sound = bool((values < contents.meta.info.packets).all())
            case _:
                base, width = FLOW[name].subdtype or (FLOW[name], ())
                values = contents.column(name, base.str, (*shape, *width))
                is_sound = name != "client" or bool((values <= 1).all())
        if not is_sound:
            raise Damaged(f"column {name} of the flow table contradicts the segment", file=contents.name)
        return values


class BlockTable:
    """Where the blocks lie: block i is offset[i]:offset[i+1], and raw_start[i]:raw_start[i+1] inflated (u8)."""

    def __init__(self, contents: Contents[IndexMeta]) -> None:
        data = contents.meta.data
        self._contents = contents
        self._count = data.blocks
        self.offset = offset = contents.column("block_offset", "<u8", (data.blocks + 1,))
        self.raw_start = raw_start = contents.column("block_raw_start", "<u8", (data.blocks + 1,))
        sizes = raw_start[1:] - raw_start[:-1]  # huge where they descend
        if (
            not (offset[1:] > offset[:-1]).all()
            or (len(sizes) and not 0 < sizes.min() <= sizes.max() <= MAX_BLOCK_BYTES)
            or int(offset[-1]) > data.length
            or int(raw_start[0]) != PCAP_HEADER_BYTES
            or int(raw_start[-1]) != data.raw_length
        ):
            raise Damaged("the block table contradicts itself", file=contents.name)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def offsets(self) -> list[int]:
        """`offset` as plain numbers: what reads one block after the other is quicker with them."""
        offsets: list[int] = self.offset.tolist()
        return offsets

    @cached_property
    def raw_starts(self) -> list[int]:
        """`raw_start` as plain numbers."""
        starts: list[int] = self.raw_start.tolist()
        return starts

    @cached_property
    def first_ns(self) -> NDArray[Any]:
        """u8: earliest time of a record of the block."""
        return self._contents.column("block_first_ns", "<u8", (self._count,))

    @cached_property
    def last_ns(self) -> NDArray[Any]:
        """u8: latest time of a record of the block."""
        return self._contents.column("block_last_ns", "<u8", (self._count,))


class Index(Struct, frozen=True):
    """A decoded index."""

    meta: IndexMeta
    flows: FlowTable
    blocks: BlockTable


def encode_main(meta: IndexMeta, flows: Flows, blocks: Blocks, sign: Callable[[bytes], bytes]) -> bytes:
    """Return main, uncompressed and signed."""
    columns = [
        *_flow_columns(flows),
        Column("block_offset", blocks.offset, "delta planes"),
        Column("block_raw_start", blocks.raw_start, "delta planes"),
        Column("block_first_ns", blocks.first_ns, "delta planes"),
        Column("block_last_ns", blocks.last_ns, "delta planes"),
    ]
    body = pack(_MAGIC, meta, columns)
    return body + sign(body)


def join(main: bytes, extras: bytes) -> bytes:
    """Return the index file's plaintext for main (uncompressed) and the extras frame (compressed)."""
    frame = zstandard.ZstdCompressor(level=3).compress(main)
    return _HEAD.pack(_SKIPPABLE, HEAD_BYTES - 8, len(frame), len(extras)) + frame + extras


def split_head(head: bytes | memoryview, size: int, name: str) -> tuple[int, int]:
    """Return the lengths of the main and the extras frame of an index plaintext of `size` bytes."""
    if len(head) < HEAD_BYTES:
        raise Damaged("index header is cut", file=name, offset=0)
    magic, length, main, extras = _HEAD.unpack_from(head)
    if magic != _SKIPPABLE or length != HEAD_BYTES - 8 or HEAD_BYTES + main + extras != size:
        raise Damaged("index header contradicts the file", file=name, offset=0)
    return main, extras


def inflate(frame: bytes | memoryview, limit: int, name: str, *, exactly: bool = False) -> bytes:
    """Decompress one zstd frame that says its size: at most `limit`, or exactly; raise Damaged otherwise."""
    try:
        size = zstandard.frame_content_size(frame)
        if not (limit if exactly else 0) <= size <= limit:
            raise Damaged(f"a frame claims {size:,} bytes where {limit:,} are allowed", file=name)
        return _TOOLS.zstd.decompress(frame, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damaged(f"zstd frame: {error}", file=name) from error


def inflate_to(frame: memoryview, into: memoryview, name: str) -> None:
    """Decompress one zstd frame to where it belongs, which it must fill; raise Damaged otherwise."""
    try:
        size = zstandard.frame_content_size(frame)
        with _TOOLS.zstd.stream_reader(frame, read_across_frames=True) as reader:
            if size != len(into) or reader.readinto(into) != size or reader.read(1):
                raise Damaged(f"a frame is not one of {len(into):,} bytes: it claims {size:,}", file=name)
    except zstandard.ZstdError as error:
        raise Damaged(f"zstd frame: {error}", file=name) from error


class _Tools(threading.local):
    """One decompressor a thread: making one costs as much as inflating a small index."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_TOOLS = _Tools()


def decode_main(main: bytes, name: str) -> Index:
    """Decode what `encode_main` made for segment `name`; raise Damaged unless every row lies inside it.

    The signature is not checked here (`verify` does): age has authenticated the bytes already.
    """
    contents = unpack(main, _MAGIC, IndexMeta, name + INDEX_SUFFIX, text_limit=MAX_META_BYTES)
    if len(main) - contents.end != SIGNATURE_BYTES:
        raise Damaged("no signature behind its columns", file=contents.name, offset=contents.end)
    if contents.meta.info.name != name:
        raise Misplaced(contents.meta.info.name, file=contents.name)
    return Index(contents.meta, FlowTable(contents), BlockTable(contents))


def _flow_columns(flows: Flows) -> list[Column]:
    table, cluster = flows.table, flows.cluster
    clustered = table[cluster]
    first, span = table["first_ns"], table["last_ns"] - table["first_ns"]
    unit = next(u for u in _TIME_UNITS if u == 1 or not ((first % u).any() or (span % u).any()))
    counted = clustered["packets"].sum(axis=1, dtype=np.uint64)
    return [
        *(Column(name, np.ascontiguousarray(clustered[name]), coding) for name, coding in _CLUSTERED),
        Column("cluster", cluster.astype(np.uint32), "planes"),
        Column("range_bytes", flows.range_bytes[cluster].astype(np.uint64), "planes"),
        Column("detached", counted - flows.records[cluster].astype(np.uint64), "planes"),
        Column("carrier", np.ascontiguousarray(table["carrier"]), "planes"),
        Column("first_packet", np.ascontiguousarray(table["first_packet"]), "delta planes"),
        Column("time_unit", np.array([unit], dtype=np.uint64)),
        Column("first", first // np.uint64(unit), "delta planes"),
        Column("span", span // np.uint64(unit), "planes"),
    ]
