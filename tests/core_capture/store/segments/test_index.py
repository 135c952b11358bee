"""The index: its exact beginning, round trips of flow tables, and hostile ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kubeshark.core_capture._columns import FLOW, NO_FLOW
from kubeshark.core_capture.store.segments._index import (
    HEAD_BYTES,
    Blocks,
    DataFile,
    Flows,
    Index,
    IndexMeta,
    decode_main,
    encode_main,
    inflate,
    inflate_to,
    join,
    split_head,
)
from kubeshark.core_capture.store.segments._info import Chain, SegmentInfo, SourceRecord
from kubeshark.errors import Damaged

NAME = "20231114T221320Z-node-a-0001"
PACKETS = 100


def make(rows: int = 4, seed: int = 0) -> tuple[IndexMeta, Flows, Blocks]:
    """Return a consistent index with arbitrary numbers in it."""
    rng = np.random.default_rng(seed)
    table = np.zeros(rows, dtype=FLOW)
    for name in FLOW.names or ():
        base, width = FLOW[name].subdtype or (FLOW[name], ())
        table[name] = rng.integers(0, 200, (rows, *width)).astype(base)
    table["reserved"] = 0
    table["client"] %= 2
    table["carrier"] = NO_FLOW
    table["packets"] = rng.integers(0, 3, (rows, 2))
    table["first_packet"] = np.sort(rng.integers(0, PACKETS, rows))
    table["first_ns"] = rng.integers(0, 2**61, rows, dtype=np.uint64)
    table["last_ns"] = table["first_ns"] + rng.integers(0, 2**61, rows, dtype=np.uint64)
    flows = Flows(
        table,
        rng.permutation(rows).astype(np.uint32),
        range_bytes=rng.integers(0, 50, rows).astype(np.uint64),
        records=table["packets"].sum(axis=1, dtype=np.uint64),
    )
    raw_length = 24 + int(flows.range_bytes.sum()) + 7
    source = SourceRecord("ab" * 32, "x.pcap", 9, 0, PACKETS - 1, 0, complete=True)
    info = SegmentInfo(NAME, "node-a", "2026-01-01T00:00:00Z", 1, PACKETS, rows, 5, 77, -1, 2**60, source)
    meta = IndexMeta(info, Chain(3, "cd", "ef"), DataFile(77, "0" * 32, raw_length, 1), "00")
    blocks = Blocks(*(np.array(v, dtype=np.uint64) for v in ([30, 70], [24, raw_length], [5], [9])))
    return meta, flows, blocks


def encode(meta: IndexMeta, flows: Flows, blocks: Blocks) -> bytes:
    return encode_main(meta, flows, blocks, lambda _content: b"s" * 64)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32))
def test_round_trip(rows: int, seed: int) -> None:
    meta, flows, blocks = make(rows, seed)
    index = decode_main(encode(meta, flows, blocks), NAME)
    assert index.meta == meta
    assert np.array_equal(index.flows.rows, flows.table)
    assert np.array_equal(index.flows.range_bytes, flows.range_bytes)
    assert np.array_equal(index.flows.by_ordinal(index.flows.clustered.records), flows.records)
    at = 24
    for row in flows.cluster:
        assert index.flows.range_starts[row] == at
        at += int(flows.range_bytes[row])
    assert np.array_equal(index.blocks.raw_start, blocks.raw_start)


def test_microseconds_cost_no_nanoseconds() -> None:
    meta, flows, blocks = make(40)
    for name in ("first_ns", "last_ns"):
        flows.table[name] -= flows.table[name] % 1000
    main = encode(meta, flows, blocks)
    assert np.array_equal(decode_main(main, NAME).flows.rows, flows.table)


def test_its_beginning() -> None:
    meta, flows, blocks = make()
    main = encode(meta, flows, blocks)
    assert main.startswith(b"KSHKIDX1")
    assert main[12:].startswith(b'{"meta":{"info":{"name":"20231114T221320Z-node-a-0001","node":"node-a","created":')
    assert b'["a","|u1",[4,16],"planes"],["b","|u1",[4,16],"planes"],["port_a","<u2",[4],"planes"]' in main
    assert main.endswith(b"s" * 64)
    plain = join(main, b"extras")
    assert plain[:8] == b"\x50\x2a\x4d\x18\x08\x00\x00\x00"
    assert split_head(plain, len(plain), "f") == (len(plain) - HEAD_BYTES - 6, 6)


def refuse(main: bytes) -> None:
    with pytest.raises(Damaged, match=f"{NAME}.idx.age: damaged"):
        use_everything(decode_main(main, NAME))


def use_everything(index: Index) -> None:
    _flows = (index.flows.rows, index.flows.range_starts, index.flows.clustered.records)
    _blocks = (index.blocks.first_ns, index.blocks.last_ns)


LIES: dict[str, Callable[[Flows], Any]] = {
    "client": lambda flows: flows.table["client"].fill(2),
    "carrier": lambda flows: flows.table["carrier"].fill(4),
    "first packet": lambda flows: flows.table["first_packet"].fill(PACKETS),
    "times": lambda flows: flows.table["last_ns"].__isub__(2**61),
    "range": lambda flows: flows.range_bytes.fill(10**6),
    "huge range": lambda flows: flows.range_bytes.fill(2**63),
    "records": lambda flows: flows.records.fill(10**6),
    "packets": lambda flows: (flows.table["packets"].fill(2**31), flows.records.fill(2**32)),
    "order": lambda flows: flows.cluster.fill(1),
}


@pytest.mark.parametrize("lie", LIES)
def test_flows_that_contradict_themselves(lie: str) -> None:
    meta, flows, blocks = make()
    LIES[lie](flows)
    refuse(encode(meta, flows, blocks))


def test_a_table_of_another_length() -> None:
    meta, _flows, blocks = make(4)
    refuse(encode(meta, make(3)[1], blocks))


@pytest.mark.parametrize(
    "change",
    [
        {"offset": [30, 30]},
        {"offset": [30, 78]},
        {"raw_start": [0, 1000]},
        {"raw_start": [24, 2**40]},
        {"raw_start": [25, 24]},
        {"offset": [30]},
        {"first_ns": []},
    ],
)
def test_blocks_that_contradict_themselves(change: dict[str, list[int]]) -> None:
    meta, flows, blocks = make()
    lie = replace(blocks, **{name: np.array(v, dtype=np.uint64) for name, v in change.items()})
    refuse(encode(meta, flows, lie))


def test_the_index_of_another_segment() -> None:
    meta, flows, blocks = make()
    with pytest.raises(Damaged, match="holds the index of"):
        decode_main(encode(meta, flows, blocks), "20231114T221320Z-node-a-0002")


def test_every_prefix_is_refused() -> None:
    main = encode(*make())
    for cut in range(len(main)):
        refuse(main[:cut])


@settings(deadline=None)
@given(st.data())
def test_no_changed_byte_escapes_as_another_error(data: st.DataObject) -> None:
    main = bytearray(encode(*make()))
    for _ in range(data.draw(st.integers(1, 3))):
        main[data.draw(st.integers(0, len(main) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Damaged):
        use_everything(decode_main(bytes(main), NAME))


def test_zstd_bombs_and_odd_frames() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(10_000_000))
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc")
    for frame, limit, exactly in (
        (bomb, 1_000_000, False),
        (bomb, 10_000_001, True),
        (streamed, 100, False),
        (bomb[:-1], 10_000_000, False),
        (bomb + b"x", 10_000_000, False),
        (b"", 100, False),
        (b"noise", 100, False),
    ):
        with pytest.raises(Damaged):
            inflate(frame, limit, "f", exactly=exactly)


@pytest.mark.parametrize("head", [b"", bytes(15), bytes(16), b"\x50\x2a\x4d\x18\x08\0\0\0\xff\xff\xff\xff\0\0\0\0"])
def test_heads_that_lie(head: bytes) -> None:
    with pytest.raises(Damaged):
        split_head(head, 100, "f")


def test_a_frame_is_inflated_to_where_it_belongs_or_refused() -> None:
    content = bytes(range(256)) * 40
    frame = zstandard.ZstdCompressor().compress(content)
    out = bytearray(len(content) + 2)
    inflate_to(memoryview(frame), memoryview(out)[1:-1], "f")
    assert bytes(out) == b"\0" + content + b"\0"
    for damaged, size in (
        (frame, len(content) - 1),
        (frame, len(content) + 1),
        (frame[:-1], len(content)),
        (frame + b"x", len(content)),
        (frame + frame, len(content)),
        (frame + zstandard.ZstdCompressor().compress(b"x"), len(content)),
        (b"no frame at all", len(content)),
        (b"", len(content)),
    ):
        with pytest.raises(Damaged):
            inflate_to(memoryview(damaged), memoryview(bytearray(size)), "f")
