"""The ledger: what a node knows of its own segments without an identity, and whom it believes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubeshark.core_capture.store import NodeKey, Retention, Store
from kubeshark.core_capture.store.catalogue._ledger import MAX_LEDGER_BYTES, load_ledger, save_ledger
from kubeshark.core_capture.store.places._names import LEDGER
from kubeshark.errors import Damaged
from tests.core_capture.store._bench import START_NS, Bench, batch, frames, record, records
from tests.core_capture.store._live import exported, fed, live, until

ITEMS = records(frames())


def test_it_says_what_the_indexes_say(bench: Bench) -> None:
    with live(bench, segment_bytes=3_000) as writer:
        for at in range(0, len(ITEMS), 10):
            fed(writer, ITEMS[at : at + 10], first=at)
            until(lambda: len(writer._closed) < 2)
        writer.finish()
    store = bench.open()
    store.segments()
    entries = load_ledger(bench.backend, bench.key)
    assert [entry.info.name for entry in entries] == [info.name for info in store.segments()]
    for entry, known in zip(entries, store._entries(), strict=True):
        assert (entry.chain, entry.sha256, entry.info.last_ns) == (known.chain, known.sha256, known.info.last_ns)
    save_ledger(bench.backend, entries, {entries[1].info.name}, bench.key)
    assert [entry.info.name for entry in load_ledger(bench.backend, bench.key)] == [entries[1].info.name]
    others = [replace(entry, chain=replace(entry.chain, public_key="00" * 32)) for entry in entries]
    save_ledger(bench.backend, others, {entry.info.name for entry in entries}, bench.key)
    assert load_ledger(bench.backend, bench.key) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"public_key": "", "signature": "00", "body": 1}'])
def test_what_is_no_ledger(bench: Bench, content: bytes) -> None:
    bench.open()
    (Path(bench.path) / LEDGER).write_bytes(content)
    with pytest.raises(Damaged):
        load_ledger(bench.backend, bench.key)
    (Path(bench.path) / LEDGER).write_bytes(bytes(MAX_LEDGER_BYTES + 1))
    with pytest.raises(Damaged, match="larger"):
        load_ledger(bench.backend, bench.key)


def test_nobody_else_is_believed(bench: Bench) -> None:
    """Who can write the folder would like a deletion signed that they did themselves."""
    items = [record(os.urandom(1000), START_NS + at) for at in range(120)]
    options = {"segment_bytes": 40_000, "retention": Retention(max_bytes=80_000)}
    with live(bench, segment_bytes=40_000) as writer:
        fed(writer, items, at_once=20)
        writer.finish()
    entries = load_ledger(bench.backend, bench.key)
    lie = [replace(entries[0], chain=replace(entries[0].chain, sequence=1)), *entries[1:]]
    save_ledger(bench.backend, lie, {entry.info.name for entry in entries}, bench.key)
    content = (Path(bench.path) / LEDGER).read_text()
    (Path(bench.path) / LEDGER).write_text(
        content.replace(bench.key.public, NodeKey.generate().public).replace("0", "1")
    )
    with pytest.raises(Damaged):
        load_ledger(bench.backend, bench.key)
    with live(bench, store=Store.open(bench.path, identities=[]), **options) as writer:
        for at in range(0, 120, 20):
            writer.add(batch(items[at : at + 20]))
            until(lambda: len(writer._closed) < 2)
        writer.finish()
        assert writer.counters.pruned > 0
    store = bench.open()
    assert set(exported(store)) == set(items)  # what the ledger does not say stays
    assert len(exported(store)) < 2 * len(items)
    assert store.verify([bench.key.public]).is_sound
