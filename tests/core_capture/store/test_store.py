"""A store as its users see it: what goes in comes out, nothing else does, and reading changes nothing."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kubeshark.core_capture._predicate import And, InNetwork, PortBetween, Transport, match
from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store import Identity, NotForUsError, Store, create_identity, export
from kubeshark.errors import Damaged, StoreError, UsageError
from tests.core_capture.store._bench import ARP, Bench, batch, frames, record, records, tcp, udp

DNS = And((Transport(frozenset({17})), PortBetween("dst", 53, 53)))


def test_standard_tools_read_a_segment(bench: Bench, tmp_path: Path, tool: Callable[[str], str]) -> None:
    items = records(frames())
    (info,) = bench.fill(items).segments()
    (tmp_path / "key").write_text(bench.me.secret())
    opened = f"{tool('age')} -d -i {tmp_path}/key {bench.path}/{info.name}.pcap.zst.age | {tool('zstd')} -d"
    plain = subprocess.run(["sh", "-c", opened], capture_output=True, check=True).stdout
    assert len(plain) == 24 + sum(map(len, items))
    (tmp_path / "out.pcap").write_bytes(plain)
    counted = subprocess.run([tool("capinfos"), "-Mc", tmp_path / "out.pcap"], capture_output=True, text=True)
    assert f"{len(items)}" in counted.stdout
    opened = f"{tool('age')} -d -i {tmp_path}/key {bench.path}/{info.name}.idx.age | {tool('zstd')} -d"
    assert subprocess.run(["sh", "-c", opened], capture_output=True, check=True).stdout.startswith(b"KSHKIDX1")


def test_zstd_tools_find_the_seek_table(bench: Bench, tmp_path: Path, tool: Callable[[str], str]) -> None:
    (info,) = bench.fill().segments()
    (tmp_path / "key").write_text(bench.me.secret())
    data = bench.path / f"{info.name}.pcap.zst.age"
    plain = subprocess.run([tool("age"), "-d", "-i", tmp_path / "key", data], capture_output=True, check=True).stdout
    assert plain.endswith(b"\xb1\xea\x92\x8f")
    (tmp_path / "out.zst").write_bytes(plain)
    listed = subprocess.run([tool("zstd"), "-l", tmp_path / "out.zst"], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines()[-1].split()[:2] == ["4", "2"]  # two are skippable: source, seek table


def test_every_flow_is_one_range_in_capture_order(bench: Bench) -> None:
    items = records(frames(flows=7, packets=20))
    store = bench.fill(items)
    (info,) = store.segments()
    with store.open_segment(info.name) as segment:
        assert (info.packets, info.flows) == (len(items), len(segment.flows)) == (160, 7)
        seen = []
        for row, content in enumerate(segment.records(range(info.flows))):
            start, end = segment.range(row)
            assert len(content) == end - start
            expected = [item for item in items if _flow_of(item) == _flow_of(bytes(content[:80]))]
            assert bytes(content) == b"".join(expected)
            seen += expected
        behind = max(segment.range(row)[1] for row in range(info.flows)) - 24  # of the pcap header
        assert bytes(segment.select(None)[behind:]) == b"".join(item for item in items if item[16:] == ARP)
        assert len(seen) == 140
        assert segment.stats.blocks == 2  # the same one twice: for flows, and for all


def _flow_of(item: bytes) -> frozenset[bytes]:
    return (
        frozenset((item[42:46] + item[50:52], item[46:50] + item[52:54])) if item[28:30] == b"\x08\x00" else frozenset()
    )


def test_flows_are_clustered_by_server_port_then_hosts(bench: Bench) -> None:
    store = bench.fill(records(frames(flows=9)))
    with store.open_segment(store.segments()[0].name) as segment:
        flows = segment.flows
        order = np.argsort([segment.range(row)[0] for row in range(len(flows))])
        server = np.where(flows["client"] == 1, flows["port_a"], flows["port_b"])
        keys = [(int(flows["transport"][row]), int(server[row])) for row in order]
        assert keys == sorted(keys)
        assert np.array_equal(segment.in_cluster_order(np.arange(len(flows)) == order[1]), np.arange(len(flows)) == 1)
        assert segment.ranges(np.ones(len(flows), dtype=bool)) == [(24, segment.range(order[-1])[1])]
        assert segment.ranges(np.arange(len(flows)) == 1) == [segment.range(order[1])]
        assert segment.ranges(np.zeros(len(flows), dtype=bool)) == []


def test_a_selective_read_touches_few_blocks(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    items = records([udp(f"10.0.0.{n % 50}", 1000 + n % 50, "10.1.1.1", 53, rng.bytes(1000)) for n in range(3000)])
    store = bench.fill(items, segment_bytes=32 << 20)
    (info,) = store.segments()
    with store.open_segment(info.name) as segment:
        segment.records([7])
        assert segment.stats.blocks <= 2
        assert segment.stats.data_bytes < info.stored_bytes / 5
        blocks = segment.stats.blocks
        segment.records([7])
        assert segment.stats.blocks == blocks  # kept


def test_a_large_service_shares_its_blocks_with_no_other(bench: Bench) -> None:
    rng = np.random.default_rng(2)
    ports = [53] * 100 + [123] * 100 + [514] * 5 + [1812] * 5 + [9999] * 100 + [ARP]
    packets = [udp("10.0.0.1", 40_000, "10.1.1.1", port, rng.bytes(1000)) if port is not ARP else ARP for port in ports]
    store = bench.fill(records(packets))
    (info,) = store.segments()
    read = {}
    with store.open_segment(info.name) as segment:
        for port in (53, 123, 514, 1812, 9999):
            chosen = segment.choose(PortBetween("dst", port, port))
            before = segment.stats.data_bytes
            assert len(segment.select(chosen)) == ports.count(port) * (16 + 42 + 1000)
            read[port] = segment.stats.data_bytes - before
        assert segment.stats.blocks == 5
    assert read[514] == read[1812]  # one block holds both
    assert read[514] < 11_000
    assert all(100_000 < read[port] < 107_000 for port in (53, 123, 9999))


def test_predicates_work_on_the_flows_of_an_index(bench: Bench) -> None:
    store = bench.fill()
    with store.open_segment(store.segments()[0].name) as segment:
        found = match(DNS, segment.flows)
        assert found.sum() == 2
        assert all(b"\x00\x35" in bytes(content[:54]) for content in segment.records(np.flatnonzero(found)))


def test_segments_that_cannot_match_are_not_named(bench: Bench) -> None:
    bench.fill(records([udp("10.9.9.9", 1234, "10.1.1.1", 53)] * 3))
    bench.fill(records([tcp("10.8.8.8", 2345, "10.1.1.2", 80, 1, 2)] * 3, start_ns=1_800_000_000_000_000_000))
    store = bench.open()
    assert [info.packets for info in store.segments()] == [3, 3]
    assert len(store.segments(DNS)) == 1
    assert len(store.segments(InNetwork("src", IPv4Network("10.8.8.8/32")))) == 1
    assert store.segments(And((DNS, InNetwork("src", IPv4Network("10.8.8.0/24"))))) == []


def test_reading_changes_nothing(bench: Bench) -> None:
    bench.fill()
    (bench.path / "catalogue.age").unlink()
    before = bench.files()
    store = bench.open()
    for info in store.segments(DNS):
        with store.open_segment(info.name) as segment:
            segment.select(None)
    store.info()
    store.verify()
    assert bench.files() == before


def test_a_missing_or_damaged_catalogue_is_rebuilt_in_memory(bench: Bench) -> None:
    bench.fill()
    listed = bench.fill().segments()
    path = bench.path / "catalogue.age"
    for content in (path.read_bytes()[:-1], b"", path.read_bytes()[:200]):
        path.write_bytes(content)
        assert bench.open().segments() == listed
    path.unlink()
    assert bench.open().segments() == listed


def test_a_stale_catalogue_is_completed(bench: Bench) -> None:
    bench.fill()
    stale = (bench.path / "catalogue.age").read_bytes()
    bench.fill()
    (bench.path / "catalogue.age").write_bytes(stale)
    assert len(bench.open().segments()) == 2
    assert bench.open().verify().is_sound


def test_link_types_lie_apart(bench: Bench) -> None:
    source = bench.source()
    with bench.writer(source) as writer:
        items, bare = records(frames()), records([frame[14:] for frame in frames()])
        writer.add(batch(items[::2], ordinals=list(range(0, len(items), 2))))
        writer.add(batch(bare[1::2], ordinals=list(range(1, len(items), 2)), link_type=101))
        writer.finish()
    assert sorted(info.link_type for info in bench.open().segments()) == [1, 101]


def test_large_batches_are_split(bench: Bench) -> None:
    items = records(frames(flows=20, packets=50, payload=400))
    with bench.writer(segment_bytes=100_000) as writer:
        writer.add(batch(items))
        writer.finish()
    assert all(info.captured_bytes + 16 * info.packets <= 100_000 for info in writer.sealed)
    assert sum(info.packets for info in writer.sealed) == len(items) == writer.acknowledged


def test_one_record_may_exceed_a_segment_and_a_block(bench: Bench) -> None:
    items = [record(udp("10.0.0.1", 1, "10.0.0.2", 2) + bytes(size), 10**9) for size in (10, 600_000, 10, 300_000)]
    store = bench.fill(items, segment_bytes=50_000)
    assert [info.packets for info in store.segments()] == [1, 1, 1, 1]
    assert store.verify().is_sound


def test_an_empty_source_is_known(bench: Bench) -> None:
    source = bench.source(link_type=113)
    with bench.writer(source) as writer:
        writer.finish()
    store = bench.open()
    assert [(info.packets, info.link_type) for info in store.segments()] == [(0, 113)]
    assert store.import_state(source.sha256).complete
    with store.open_segment(store.segments()[0].name) as segment:
        assert segment.select(None) == b""
    assert store.verify().is_sound


def test_a_repeated_import_adds_nothing(bench: Bench) -> None:
    items, source = records(frames()), bench.source()
    for expected in (0, len(items)):
        with bench.writer(source) as writer:
            writer.add(batch(items))
            writer.finish()
        assert writer.skipped == expected
    store = bench.open()
    assert len(store.segments()) == 1
    state = store.import_state(source.sha256)
    assert (state.complete, state.packets, state.last_ordinals) == (True, len(items), {1: len(items) - 1})
    assert not store.import_state("0" * 64).packets


def test_an_interrupted_import_is_continued(bench: Bench) -> None:
    items, source = records(frames()), bench.source()
    with pytest.raises(KeyboardInterrupt), bench.writer(source) as writer:
        writer.add(batch(items[:20]))
        raise KeyboardInterrupt
    assert writer.acknowledged == 20
    assert not bench.open().import_state(source.sha256).complete
    with bench.writer(source) as writer:
        for at in range(0, len(items), 7):
            writer.add(batch(items[at : at + 7], first=at))
            assert writer.room(1, 1) is None  # what comes next may be here already
        writer.finish()
    assert (writer.skipped, writer.acknowledged) == (20, len(items) - 20)
    assert bench.open().import_state(source.sha256).complete
    assert sum(info.packets for info in bench.open().segments()) == len(items)


def test_a_writer_lends_room_in_the_segment_that_it_fills(bench: Bench) -> None:
    items = records(frames())
    with bench.writer() as writer:
        assert writer.room(1, 100) is None
        writer.add(batch(items[:20]))
        assert writer.room(2, 100) is None
        data = b"".join(items[20:])
        room = writer.room(1, len(data))
        assert room is not None
        room[: len(data)] = data
        writer.add(RecordBatch(1, room[: len(data)], range(20, len(items))))
        writer.finish()
    (info,) = bench.open().segments()
    assert info.packets == len(items)
    out = io.BytesIO()
    export(bench.open(), out, form="pcap")
    assert out.getvalue()[24:] == b"".join(items)


def test_one_writer_at_a_time(bench: Bench) -> None:
    with bench.writer(), pytest.raises(StoreError, match="another process writes"):
        bench.writer()
    with bench.writer():
        pass  # the lock is free again


def test_a_full_disk_is_said_in_a_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"cannot write to .*: No space left on device"), bench.writer() as writer:
        writer.add(batch(records(frames())))
        monkeypatch.setattr("os.fsync", full)
        writer.finish()
    assert writer.acknowledged == 0


def test_a_disk_that_fills_up_on_the_way_frees_the_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    items, writer = records(frames()), bench.writer(segment_bytes=2_000)
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="No space left"), writer:
        patch.setattr("os.fsync", full)
        for at in range(0, len(items), 10):
            writer.add(batch(items[at : at + 10], first=at))
    assert writer.acknowledged == 0
    assert bench.fill().info().packets == len(items)


def test_without_identity_a_store_opens_nowhere(bench: Bench, own_home: Path) -> None:
    bench.fill()
    store = Store.open(bench.path)
    for use in (store.segments, store.verify, store.info, lambda: store.import_state("")):
        with pytest.raises(StoreError, match=f"needs the identity of {bench.me.recipient}.*KUBESHARK_IDENTITY"):
            use()
    with pytest.raises(StoreError, match="KUBESHARK_IDENTITY"):
        store.open_segment(bench.open().segments()[0].name)


def test_a_wrong_identity_opens_nothing(bench: Bench, own_home: Path) -> None:
    bench.fill()
    create_identity(own_home / ".kubeshark" / "identity.age")
    for store in (Store.open(bench.path), Store.open(bench.path, identities=[_stranger()])):
        with pytest.raises(StoreError, match=f"{bench.me.recipient}.*KUBESHARK_IDENTITY"):
            store.segments()
        with pytest.raises(NotForUsError):
            store.open_segment(bench.open().segments()[0].name)


def _stranger() -> Identity:
    return Identity.from_key(X25519PrivateKey.generate())


def test_the_key_never_lies_in_the_store(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(bench.path / "identity.age"))
    with pytest.raises(StoreError, match="lies inside the store"):
        bench.writer()


def test_a_writer_needs_no_identity(bench: Bench, own_home: Path) -> None:
    blind = Store.open(bench.path, identities=[], create=True)
    source = bench.source()
    with blind.writer([bench.me.recipient], source=type(source)("eth0"), node="node-a", key=bench.key) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    with bench.open().open_segment(writer.sealed[0].name) as segment:
        assert segment.places(None) == [(0, writer.acknowledged)]
    with blind.writer([bench.me.recipient], source=type(source)("eth0"), node="node-a", key=bench.key) as writer:
        writer.add(batch(records(frames())))
        writer.finish()
    assert len(bench.open().segments()) == 2
    assert bench.open().verify().is_sound


def test_opening_what_is_not_there(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        Store.open(tmp_path / "nothing")
    for name in ("20200101T000000Z-node-a-0001", "../../etc/passwd", "x"):
        with pytest.raises(StoreError, match="no segment"):
            bench.open().open_segment(name)
    with pytest.raises(UsageError, match="node name"):
        bench.open().writer([bench.me.recipient], source=bench.source(), node="a/b", key=bench.key)


def test_one_damaged_segment_leaves_the_others(bench: Bench) -> None:
    bench.fill()
    bench.fill()
    (bench.path / "catalogue.age").unlink()
    name = sorted(path.name for path in bench.path.glob("*.idx.age"))[0]
    content = (bench.path / name).read_bytes()
    (bench.path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    store = bench.open()
    assert len(store.segments()) == 1
    assert [isinstance(problem, Damaged) for problem in store.problems] == [True]


def test_info(bench: Bench) -> None:
    items = records(frames())
    store = bench.fill(items)
    info = store.info()
    assert (info.segments, info.packets, info.flows, info.sources) == (1, len(items), 5, 1)
    assert info.captured_bytes == sum(len(item) - 16 for item in items)
    assert info.recipients == (str(bench.me.recipient),)
    assert info.nodes == (bench.key.public,)
    assert info.disk_bytes == sum(map(len, bench.files().values()))
    assert (info.leftovers, info.problems) == ((), ())
    assert store.segments()[0].first_ns == info.first_ns
