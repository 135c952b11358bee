"""Whole stores on object storage: the same packets as from disk, whatever server and network do."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import PortBetween
from kubeshark.core_capture.store import Identity, NodeKey, Retention, SourceInfo, Store, export
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.places import _objects
from kubeshark.core_capture.store.places._names import log_name, log_pieces
from kubeshark.core_capture.store.places._spool import spool_path
from kubeshark.core_capture.store.writing._log import read_log
from kubeshark.errors import Damaged, StoreError
from tests.core_capture.store._bench import Bench, batch, frames, records, tcp
from tests.core_capture.store._live import NS, fed, live, until
from tests.core_capture.store._pieces import NAME, pieces, put
from tests.core_capture.store._relay import Relay, relay
from tests.core_capture.store._servers import BUCKET, Server
from tests.core_capture.store.test_object_crash import exported

ITEMS = records(frames())


@pytest.fixture
def remote(url: str, server: Server, me: Identity, node_key: NodeKey) -> Bench:
    """A store on each of the servers in turn."""
    return Bench(url, me, node_key)


@pytest.fixture
def at_moto(url: str, moto_s3: Server, me: Identity, node_key: NodeKey) -> Bench:
    return Bench(url, me, node_key)


@pytest.fixture
def between(moto_s3: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay(moto_s3.port) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        yield found


def prefix_of(bench: Bench) -> str:
    return str(bench.path).removeprefix(f"s3://{BUCKET}/")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    flows=st.integers(1, 9),
    packets=st.integers(0, 30),
    payload=st.integers(0, 3_000),
    segment_bytes=st.integers(1_000, 100_000),
    since=st.integers(0, 100),
)
def test_any_packets_come_back_as_from_a_folder(
    flows: int, packets: int, payload: int, segment_bytes: int, since: int, bench: Bench
) -> None:
    items = records(frames(flows, packets, payload))
    place = os.urandom(6).hex()
    answers = []
    for path in (Path(bench.path) / place, f"memory://{place}"):
        store = Bench(path, bench.me, bench.key).fill(items, segment_bytes=segment_bytes)
        names = [info.name for info in store.segments()]
        some = [info.name for info in store.segments(PortBetween("dst", 53, 53))]
        window = io.BytesIO()
        export(store, window, form="pcapng", since_ns=1_700_000_000_000_000_000 + since * 1000)
        answers.append((names, some, exported(store), window.getvalue()))
        assert store.verify([bench.key.public]).is_sound
    assert answers[0] == answers[1]
    assert answers[0][2] == b"".join(items)


def test_the_life_of_a_store(remote: Bench) -> None:
    remote.fill(ITEMS, segment_bytes=2_500)
    store = remote.fill(ITEMS[:20], segment_bytes=2_500)
    names = [info.name for info in store.segments()]
    assert len(names) > 4
    assert store.verify([remote.key.public]).is_sound
    info = store.info()
    assert (info.packets, info.leftovers, info.problems) == (len(ITEMS) + 20, (), ())
    assert store.overview().compression
    assert store.leftovers() == []

    store.add_snapshot("kept", 0, store.segments()[0].first_ns)
    with pytest.raises(StoreError, match="there is a snapshot"):
        remote.open().add_snapshot("kept", 0, 1)
    done = store.prune(Retention(max_bytes=1), key=remote.key)
    assert done.kept_by == {"kept": tuple(info.name for info in store.segments())}
    assert 0 < len(store.segments()) < len(names)
    store.delete_snapshot("kept")
    assert [snapshot.name for snapshot in remote.open().snapshots()] == []

    after = Identity.generate()
    assert store.rotate_keys([after.recipient]).problems == []
    with pytest.raises(StoreError, match="needs the identity"):
        remote.open().segments()
    rotated = Store.open(remote.path, identities=[after])
    assert rotated.verify([]).is_sound
    assert sum(info.packets for info in rotated.segments()) == sum(info.packets for info in store.segments())
    assert rotated.recover(key=remote.key) == ([], [])


def test_an_open_segment_outlives_a_rotation(at_moto: Bench) -> None:
    store = at_moto.fill(ITEMS)
    (info,) = store.segments()
    with store.open_segment(info.name) as before, store.open_segment(info.name) as unread:
        first = bytes(before.select(None))
        at_moto.open().rotate_keys([Identity.generate().recipient, at_moto.me.recipient])
        assert bytes(before.select(None)) == first
        assert bytes(unread.select(None)) == first


def test_a_segment_that_goes_meanwhile_is_expired(at_moto: Bench) -> None:
    store = at_moto.fill(ITEMS)
    (info,) = store.segments()
    with store.open_segment(info.name) as segment:
        at_moto.open().prune(Retention(max_bytes=0), key=at_moto.key)
        with pytest.raises(Damaged, match="expired"):
            segment.select(None)
    late = at_moto.open()
    late._known = store._known
    with pytest.raises(StoreError, match="expired"):
        late.open_segment(info.name)


def test_a_query_takes_few_requests(at_moto: Bench) -> None:
    at_moto.fill(ITEMS, segment_bytes=2_500)
    store = at_moto.open()
    infos = store.segments()
    assert len(infos) > 2
    store.prefetch(info.name for info in infos)
    for info in infos:
        with store.open_segment(info.name) as segment:
            segment.select(None)
    asked = store.files.requests
    assert asked is not None
    assert (asked.lists, asked.reads, asked.writes) == (1, 1 + 2 * len(infos), 0)


def test_two_writers_take_turns(remote: Bench) -> None:
    with remote.writer() as writer:
        writer.add(batch(ITEMS[:10]))
        with pytest.raises(StoreError, match="another process"):
            remote.writer()
        with pytest.raises(StoreError, match="another process"):
            remote.open().prune(Retention(max_bytes=0), key=remote.key)
        writer.finish()
    with remote.writer() as writer:
        writer.add(batch(ITEMS[:10]))
        writer.finish()
    assert remote.open().verify([remote.key.public]).is_sound


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_writer_whose_lease_was_taken_changes_nothing_more(
    remote: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, same_machine: bool
) -> None:
    """Both believe to be alone, as after a machine that slept: who came later wins, nothing acknowledged is lost."""
    monkeypatch.setattr(_objects.Lease, "__init__", lambda self, *_: None)
    monkeypatch.setattr(_objects.Lease, "release", lambda self: None)
    source = SourceInfo("first.pcap", "aa" * 32, 1)
    first = remote.writer(source, segment_bytes=2_500)
    for at in range(0, 30, 10):
        first.add(batch(ITEMS[at : at + 10], first=at))
    assert first.acknowledged
    if not same_machine:
        monkeypatch.setenv("KUBESHARK_SPOOL", str(tmp_path / "other"))
    key = remote.key if same_machine else NodeKey.generate()
    other = Bench(remote.path, remote.me, key)
    with other.writer(SourceInfo("second.pcap", "bb" * 32, 1), segment_bytes=2_500) as second:
        second.add(batch(ITEMS[:20]))
        with pytest.raises(StoreError, match="another process changed"):
            for at in range(30, len(ITEMS), 10):
                first.add(batch(ITEMS[at : at + 10], first=at))
            first.finish()
        second.finish()
    first.__exit__()
    store = remote.open()
    assert store.import_state("aa" * 32).packets >= first.acknowledged
    assert store.import_state("bb" * 32).packets == 20
    report = store.verify([remote.key.public, key.public])
    assert report.is_sound, [str(finding) for finding in report.findings]


def test_writers_that_race_never_overwrite_each_other(remote: Bench) -> None:
    refused: list[str] = []

    def write(number: int) -> None:
        bench = Bench(remote.path, remote.me, remote.key, sources=number * 10)
        try:
            with bench.writer(segment_bytes=2_500) as writer:
                writer.add(batch(ITEMS[:30]))
                writer.finish()
        except StoreError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) < 5
    assert all("another process" in text for text in refused)
    store = remote.open()
    assert sum(info.packets for info in store.segments()) == 30 * (5 - len(refused))
    assert store.verify([remote.key.public]).is_sound


FAULTS = {
    "500": lambda number: "500 <Code>InternalError</Code>" if number % 3 == 0 else None,
    "503": lambda number: "503 <Code>SlowDown</Code>" if number % 4 == 0 else None,
    "cut request": lambda number: "cut-request" if number % 5 == 0 else None,
    "cut answer": lambda number: "cut-answer" if number % 4 == 1 else None,
    "half answer": lambda number: "half-answer" if number % 3 == 1 else None,
    "slow": lambda number: "slow" if number % 7 == 0 else None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_now_and_then(
    fault: str, between: Relay, url: str, me: Identity, node_key: NodeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(url, me, node_key)
    between.plan = lambda number, _method, _path: FAULTS[fault](number)
    store = bench.fill(ITEMS, segment_bytes=2_500)
    assert exported(store) == b"".join(ITEMS)
    assert bench.open().verify([node_key.public]).is_sound


def test_a_server_that_dies_while_packets_come(between: Relay, url: str, me: Identity, node_key: NodeKey) -> None:
    bench = Bench(url, me, node_key)
    source = bench.source()
    writer = bench.writer(source, segment_bytes=2_500)
    for at in range(0, 30, 10):
        writer.add(batch(ITEMS[at : at + 10], first=at))
    acknowledged = writer.acknowledged
    between.plan = lambda *_: "503 <Code>SlowDown</Code>"
    with pytest.raises(StoreError, match="503"), writer:
        writer.finish()
    between.plan = lambda *_: None
    assert bench.open().import_state(source.sha256).packets >= acknowledged > 0
    with bench.writer(source, segment_bytes=2_500) as writer:
        for at in range(0, len(ITEMS), 10):
            writer.add(batch(ITEMS[at : at + 10], first=at))
        writer.finish()
    assert exported(bench.open()) == b"".join(ITEMS)
    assert bench.open().verify([node_key.public]).is_sound


@pytest.mark.parametrize("suffix", [".pcap.zst.age", ".idx.age", "catalogue.age"])
def test_bits_that_flip_on_the_way_are_noticed(
    suffix: str, between: Relay, url: str, me: Identity, node_key: NodeKey
) -> None:
    bench = Bench(url, me, node_key)
    bench.fill(ITEMS)
    between.plan = lambda _number, method, path: "flip" if method == "GET" and suffix in path else None
    store = bench.open()
    if suffix == "catalogue.age":  # the indexes say the same
        assert exported(store) == b"".join(ITEMS)
        return
    infos = store.segments()
    if infos:
        with pytest.raises(Damaged), store.open_segment(infos[0].name) as segment:
            segment.select(None)
    assert exported(store) == b""
    findings = store.verify([node_key.public]).findings
    assert [finding.kind for finding in findings if suffix in finding.file] == ["damaged"]


@pytest.mark.parametrize("part", [".pcap.zst.age", ".idx.age"])
def test_objects_that_somebody_changed_are_not_shown(part: str, remote: Bench, server: Server) -> None:
    big = [*ITEMS, *records([tcp("10.0.0.1", 1, "10.0.0.2", 80, n, 0x18, os.urandom(1400)) for n in range(200)])]
    remote.fill(big)
    bucket = server.bucket(prefix_of(remote))
    (name,) = (name for name in server.objects(prefix_of(remote)) if name.endswith(part))
    content = bytearray(server.objects(prefix_of(remote))[name])
    for change in (swap(len(content) // 2), swap(-5), cut, grow):
        changed = bytearray(content)
        change(changed)
        obstore.put(bucket, name, bytes(changed))
        store = remote.open()
        assert b"".join(big).startswith(exported(store))  # what is shown is authentic
        report = store.verify([remote.key.public])
        assert not report.is_sound
        assert any(finding.kind == "damaged" and part in finding.file for finding in report.findings)
    obstore.put(bucket, name, bytes(content))
    assert remote.open().verify([remote.key.public]).is_sound


def swap(at: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[at] ^= 1

    return change


def cut(content: bytearray) -> None:
    del content[-20:]


def grow(content: bytearray) -> None:
    content += bytes(20)


def test_an_index_that_was_lost_is_made_again(remote: Bench, server: Server) -> None:
    remote.fill(ITEMS, segment_bytes=2_500)
    bucket = server.bucket(prefix_of(remote))
    victim = next(name for name in sorted(server.objects(prefix_of(remote))) if name.endswith(".idx.age"))
    obstore.delete(bucket, victim)
    store = remote.open()
    assert [left.action for left in store.leftovers()] == ["rebuild"]
    found, problems = store.recover(key=remote.key)
    assert ([left.action for left in found], problems) == (["rebuild"], [])
    assert sum(info.packets for info in remote.open().segments()) == len(ITEMS)
    assert remote.open().verify([remote.key.public]).is_sound


def test_a_store_moves_between_bucket_and_folder(remote: Bench, server: Server, tmp_path: Path, url: str) -> None:
    remote.fill(ITEMS, segment_bytes=2_500)
    folder = Bench(tmp_path / "copy", remote.me, remote.key)
    Path(folder.path).mkdir()
    for name, content in server.objects(prefix_of(remote)).items():
        (Path(folder.path) / name).write_bytes(content)
    back = Bench(f"{url}-back", remote.me, remote.key)
    bucket = server.bucket(prefix_of(back))
    for bench, source in ((folder, remote), (back, folder)):
        if bench is back:
            for name, content in folder.files().items():
                obstore.put(bucket, name, content or b"\n")  # .lock of a folder is empty
        store = bench.open()
        assert exported(store) == exported(source.open())
        assert store.verify([remote.key.public]).findings == ()
        bench.fill(ITEMS[:10])  # and it goes on there
        assert bench.open().verify([remote.key.public]).is_sound


def test_reading_changes_nothing(remote: Bench, server: Server) -> None:
    remote.fill(ITEMS, segment_bytes=2_500)
    before = server.objects(prefix_of(remote))
    store = remote.open()
    exported(store)
    store.verify()
    store.info()
    store.overview()
    store.prune(Retention(max_bytes=0), dry_run=True)
    assert server.objects(prefix_of(remote)) == before


def test_a_head_that_never_arrived_is_no_loss(at_moto: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine is gone after store.json named the segment: `verify` says so, and the next writer goes on."""
    at_moto.fill(ITEMS[:10])

    def die(*_: object, **__: object) -> None:
        raise StoreError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(_objects.ObjectBackend, "publish", die)
        with pytest.raises(StoreError, match="is gone"), at_moto.writer() as writer:
            writer.add(batch(ITEMS[10:20]))
            writer.finish()
    monkeypatch.setenv("KUBESHARK_SPOOL", str(tmp_path / "empty"))
    notes = [str(finding) for finding in at_moto.open().verify([at_moto.key.public]).findings]
    assert any("its upload did not end" in note for note in notes)
    assert at_moto.open().verify([at_moto.key.public]).is_sound
    at_moto.fill(ITEMS[20:])
    state = load_state(at_moto.open().files)
    assert [head.pending for head in state.heads.values()] == [None]
    assert at_moto.open().verify([at_moto.key.public]).findings == ()


def test_a_live_capture_has_its_log_on_this_machine(remote: Bench) -> None:
    files = Store.open(remote.path, identities=[remote.me], create=True).files
    with live(remote) as writer:
        fed(writer, ITEMS[:30])
        assert writer.flush()
        (name,) = log_pieces(files.names())
        assert spool_path(str(remote.path)).joinpath(log_name(name, 1)).exists()
        ((found,), problems) = read_log(files, [remote.me])
        assert (found.packets, problems) == (30, [])
        fed(writer, ITEMS[30:], first=30)
        writer.tick(0)
        writer.tick(300 * NS)
        until(lambda: writer.counters.segments == 1)
        assert log_pieces(files.names()) == {}
        writer.finish()
    assert exported(remote.open()) == b"".join(ITEMS)
    assert remote.open().verify([remote.key.public]).is_sound


def test_a_log_that_a_dead_capture_left_is_sealed_on_this_machine(remote: Bench) -> None:
    files = remote.open().files
    put(remote, pieces(ITEMS, [10]), files=files)
    with files.create(".tmp-forged") as out:
        out.write(b"not ours")
    files.client.put(log_name(NAME, 3), b"put there by somebody")  # type: ignore[attr-defined]
    ((found,), problems) = read_log(files, [remote.me])
    assert (found.packets, problems) == (48, [])
    remote.writer().finish()
    assert exported(remote.open()) == b"".join(ITEMS)
    assert read_log(remote.open().files, [remote.me]) == ([], [])
