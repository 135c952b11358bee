"""A node's archive: every sealed segment gets there whole, once, whatever server, network and process do."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import obstore
import pytest

from kubeshark.core_capture.store import NameRecord, NodeKey, Retention, Store
from kubeshark.core_capture.store.archives import _uploader
from kubeshark.core_capture.store.archives._uploader import Uploader
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.catalogue._upload_journal import load_journal, save_journal
from kubeshark.core_capture.store.places import _object_client
from kubeshark.core_capture.store.places._locate import archive_url
from kubeshark.errors import StoreError, UsageError
from tests.core_capture.store._bench import Bench, batch, frames, records
from tests.core_capture.store._live import exported, live
from tests.core_capture.store._relay import Relay, relay
from tests.core_capture.store._servers import BUCKET, Server, free_port, versitygw

ITEMS = records(frames(flows=7, packets=60))


@pytest.fixture
def archive(url: str) -> str:
    return archive_url(url, "node-a")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for nothing that takes seconds."""
    monkeypatch.setattr(_object_client, "RETRY_SECONDS", 1)
    monkeypatch.setattr(_object_client, "RETRIES", 1)
    monkeypatch.setattr(_uploader, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(_uploader, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(_uploader, "LOOK_SECONDS", 0.05)


@pytest.fixture
def between(moto_s3: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with relay(moto_s3.port) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        yield found


def captured(bench: Bench, *, segment_bytes: int = 8_000, items: list[bytes] = ITEMS) -> Store:
    """Capture into the bench's folder, several segments."""
    with live(bench, segment_bytes=segment_bytes) as writer:
        for at in range(0, len(items), 40):
            writer.add(batch(items[at : at + 40], first=at))
            _settled(writer)
        writer.finish()
    return bench.open()


def _settled(writer: object) -> None:
    """Let the sealing thread keep up: memory holds three segments."""
    ends = time.monotonic() + 60
    while len(writer._closed) > 1 and time.monotonic() < ends:  # type: ignore[attr-defined]
        writer.tick()  # type: ignore[attr-defined]
        time.sleep(0.002)


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.02)


def objects(archive: str, server: Server) -> dict[str, bytes]:
    return server.objects(archive.removeprefix(f"s3://{BUCKET}/"))


def test_segments_arrive_whole_and_are_a_store(bench: Bench, archive: str, server: Server) -> None:
    here = captured(bench)
    status = Uploader(bench.path, key=bench.key, url=archive).run_once()
    segments = here.segments()
    assert (status.uploaded, status.waiting, status.lost, status.problem) == (len(segments), 0, 0, "")
    assert len(segments) > 3
    there = Store.open(archive, identities=[bench.me])
    assert exported(there) == exported(here) == ITEMS
    assert [info.name for info in there.segments()] == [info.name for info in segments]
    assert there.verify([bench.key.public]).findings == ()
    assert load_state(there.files).heads.keys() == {bench.key.public}
    assert load_state(there.files).recipients == [str(bench.me.recipient)]
    before = there.files.requests
    assert Uploader(bench.path, key=bench.key, url=archive).run_once().uploaded == len(
        segments
    )  # nothing is sent again
    assert before is not None
    assert set(objects(archive, server)) >= {f"{info.name}.idx.age" for info in segments}


def test_names_go_with_them_and_are_replaced(bench: Bench, archive: str, server: Server) -> None:
    here = captured(bench)
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    assert uploader.run_once().uploaded
    there = Store.open(archive, identities=[bench.me])
    assert there.names() == []
    for name in ("cart-1", "cart-2"):
        known = [NameRecord(kind="pod", name=name, addresses=("10.0.0.1",), since_ns=0)]
        here.change_names(lambda _, known=known: known)
        uploader.run_once()
        assert Store.open(archive, identities=[bench.me]).names() == known
    mine = NodeKey.load_or_create().public  # signs names
    assert Store.open(archive, identities=[bench.me]).verify([bench.key.public, mine]).is_sound
    assert objects(archive, server)["names.age"] == (Path(bench.path) / "names.age").read_bytes()


def test_as_they_are_sealed(bench: Bench, archive: str, moto_s3: Server) -> None:
    Store.open(bench.path, identities=[], create=True)
    with Uploader(bench.path, key=bench.key, url=archive) as uploader:
        captured(bench)
        here = len(bench.open().segments())
        until(lambda: uploader.status.uploaded == here and uploader.status.state == "waiting")
        until(uploader._is_drained)
    assert uploader.status.state == "stopped"
    there = Store.open(archive, identities=[bench.me])
    assert exported(there) == ITEMS
    assert there.verify([bench.key.public]).findings == ()


def test_an_index_never_comes_before_its_data(bench: Bench, archive: str, between: Relay) -> None:
    captured(bench)
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    puts = [path.rpartition("/")[2] for method, path in between.seen if method == "PUT" and ".age" in path]
    for name in {put.partition(".")[0] for put in puts}:
        own = [put.partition("?")[0] for put in puts if put.startswith(name)]
        assert own == [f"{name}.pcap.zst.age", f"{name}.idx.age"]


@pytest.mark.parametrize("fault", ["500", "503 <Code>SlowDown</Code>", "cut-request", "cut-answer", "half-answer"])
def test_each_request_may_fail(fault: str, bench: Bench, archive: str, between: Relay) -> None:
    """Every third request fails, of whatever kind: throttled, broken off before or after it was carried out."""
    here = captured(bench)
    between.plan = lambda number, _method, _path: fault if number % 3 == 0 else None
    with Uploader(bench.path, key=bench.key, url=archive) as uploader:
        until(lambda: uploader.status.uploaded == len(here.segments()))
        until(uploader._is_drained)
    between.plan = lambda *_: None
    there = Store.open(archive, identities=[bench.me])
    assert exported(there) == ITEMS
    assert there.verify([bench.key.public]).findings == ()


def test_killed_anywhere_it_goes_on(bench: Bench, archive: str, between: Relay) -> None:
    """Cut off from the server after each of its requests in turn; who begins anew ends it, and sends nothing twice."""
    here = captured(bench, items=ITEMS[:120])
    reached = 0
    for stop in range(1, 200):
        first = len(between.seen)
        between.plan = lambda number, _m, _p, last=first + stop: "500" if number > last else None
        try:
            Uploader(bench.path, key=bench.key, url=archive).run_once()
        except StoreError:
            reached += 1
            there = Store.open(archive, identities=[bench.me], create=True)
            between.plan = lambda *_: None
            whole = {info.name for info in there.segments()}
            assert whole <= {info.name for info in here.segments()}
            assert not [str(each) for each in there.problems]
            continue
        break
    assert reached > 5
    between.plan = lambda *_: None
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    assert exported(Store.open(archive, identities=[bench.me])) == ITEMS[:120]
    assert Store.open(archive, identities=[bench.me]).verify([bench.key.public]).findings == ()


def test_a_server_that_is_killed_and_comes_back(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle of segments of 12 MB, which go in parts, again and again."""
    monkeypatch.setattr(_object_client, "PART_BYTES", 5 << 20)  # the smallest that S3 takes
    folder, port = tmp_path / "gateway", free_port()
    folder.mkdir()
    archive = archive_url(f"s3://{BUCKET}/killed", "node-a")
    noise = [bytes(12) + b"\x08\x06" + body for body in _noise(700, 60_000)]
    items = records(noise)
    captured(bench, segment_bytes=12 << 20, items=items)
    said: list[str] = []
    with versitygw(folder, port) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        uploader = Uploader(bench.path, key=bench.key, url=archive, log=said.append)
        uploader.start()
        until(lambda: uploader.status.uploaded >= 1)
    until(lambda: uploader.status.state == "away")
    assert "cannot be reached" in uploader.status.problem
    assert uploader.status.problem.count("\n") == 0
    for _ in range(2):
        with versitygw(folder, port) as server:
            done = uploader.status.uploaded
            until(lambda done=done: uploader.status.uploaded > done or uploader._is_drained())  # type: ignore[misc]
    with versitygw(folder, port):
        until(uploader._is_drained)
        uploader.stop()
        there = Store.open(archive, identities=[bench.me])
        assert exported(there) == items
        assert there.verify([bench.key.public]).findings == ()
    assert any("cannot be reached" in line for line in said)
    assert any("takes segments again" in line for line in said)


def _noise(count: int, size: int) -> list[bytes]:
    rng = np.random.default_rng(7)
    return [rng.bytes(size) for _ in range(count)]


def test_wrong_credentials_are_one_line(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captured(bench)
    (tmp_path / "gateway").mkdir()
    with versitygw(tmp_path / "gateway") as server:
        for name, value in {**server.environment(), "AWS_SECRET_ACCESS_KEY": "wrong-one"}.items():
            monkeypatch.setenv(name, value)
        archive = archive_url(f"s3://{BUCKET}/wrong", "node-a")
        with pytest.raises(StoreError, match="access denied") as caught:
            Uploader(bench.path, key=bench.key, url=archive).run_once()
        assert "\n" not in str(caught.value)
        assert "wrong-one" not in str(caught.value)
        said: list[str] = []
        with Uploader(bench.path, key=bench.key, url=archive, log=said.append) as uploader:
            until(lambda: uploader.status.state == "away")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.environment()["AWS_SECRET_ACCESS_KEY"])
        assert len(said) == 1


def test_what_somebody_else_put_there_is_not_written_over(bench: Bench, archive: str, moto_s3: Server) -> None:
    here = captured(bench)
    first = here.segments()[0].name
    bucket = moto_s3.bucket(archive.removeprefix(f"s3://{BUCKET}/"))
    obstore.put(bucket, f"{first}.pcap.zst.age", b"something else")
    status = Uploader(bench.path, key=bench.key, url=archive).run_once()
    assert status.uploaded == len(here.segments()) - 1
    assert status.waiting == 1
    with Uploader(bench.path, key=bench.key, url=archive) as uploader:
        until(lambda: "holds another" in uploader.status.problem)
    assert objects(archive, moto_s3)[f"{first}.pcap.zst.age"] == b"something else"
    journal = load_journal(bench.backend)
    assert journal is not None
    assert first in journal.waiting


def test_retention_takes_what_is_uploaded_first_and_says_what_is_lost(
    bench: Bench, archive: str, moto_s3: Server
) -> None:
    here = captured(bench)
    names = [info.name for info in here.segments() if info.packets]
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    uploader.run_once()
    journal = load_journal(bench.backend)
    assert journal is not None
    journal.done -= set(names[:2])  # as if the two oldest had not got there
    journal.waiting = set(names[:2])
    save_journal(bench.backend, journal)
    for name in names[:2]:
        for suffix in (".pcap.zst.age", ".idx.age"):
            obstore.delete(moto_s3.bucket(archive.removeprefix(f"s3://{BUCKET}/")), f"{name}{suffix}")
    sizes = bench.backend.sizes()
    half = sum(size for name, size in sizes.items() if name.startswith(tuple(names))) // 2
    pruned = bench.open().prune(Retention(half), key=bench.key)
    gone = {info.name for info in pruned.segments}
    assert gone
    assert not gone & set(names[:2])
    pruned = bench.open().prune(Retention(1), key=bench.key)  # now they go, too
    said: list[str] = []
    uploader = Uploader(bench.path, key=bench.key, url=archive, log=said.append)
    status = uploader.run_once()
    assert (status.lost, status.waiting) == (2, 0)
    assert [bool(re.search("deleted before it was uploaded", line)) for line in said] == [True, True]
    there = Store.open(archive, identities=[bench.me])
    assert {info.name for info in there.segments() if info.packets} == set(names[2:])


def test_a_loss_leaves_no_gap_in_the_chain(bench: Bench, archive: str, moto_s3: Server) -> None:
    captured(bench)
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    uploader._begin()
    uploader._look_for_losses(bench.backend.sizes())  # it knows of them, and the archive is away
    names = [info.name for info in bench.open().segments() if info.packets]
    bench.open().prune(Retention(before_ns=bench.open().segments()[1].last_ns + 1), key=bench.key)
    assert len(bench.open().segments()) < len(names) + 1
    uploader.run_once()
    there = Store.open(archive, identities=[bench.me])
    report = there.verify([bench.key.public])
    assert report.is_sound, report.findings
    assert any("pruned" in finding.message for finding in report.findings)


def test_retention_and_snapshots_in_the_archive(bench: Bench, archive: str, server: Server) -> None:
    captured(bench)
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    there = Store.open(archive, identities=[bench.me])
    infos = there.segments()
    there.add_snapshot("kept", infos[0].first_ns, infos[0].first_ns)
    pruned = there.prune(Retention(1))
    assert infos[0].name not in {info.name for info in pruned.segments}
    assert pruned.kept_by == {"kept": (infos[0].name,)}
    left = [info.name for info in Store.open(archive, identities=[bench.me]).segments() if info.packets]
    assert left == [infos[0].name]
    again = Uploader(bench.path, key=bench.key, url=archive).run_once()
    assert again.waiting == 0  # what was deleted there does not come again
    assert [info.name for info in Store.open(archive, identities=[bench.me]).segments() if info.packets] == left
    assert Store.open(archive, identities=[bench.me]).verify([]).is_sound


def test_another_archive_begins_anew(bench: Bench, archive: str, url: str, moto_s3: Server) -> None:
    here = captured(bench)
    Uploader(bench.path, key=bench.key, url=archive).run_once()
    other = archive_url(f"{url}-2", "node-a")
    assert Uploader(bench.path, key=bench.key, url=other).run_once().uploaded == len(here.segments())
    assert exported(Store.open(other, identities=[bench.me])) == ITEMS


def test_draining(bench: Bench, archive: str, moto_s3: Server) -> None:
    captured(bench)
    uploader = Uploader(bench.path, key=bench.key, url=archive)
    uploader.start()
    uploader.stop(drain_s=60)
    assert exported(Store.open(archive, identities=[bench.me])) == ITEMS
    assert threading.active_count() < 50


def test_what_is_no_archive() -> None:
    with pytest.raises(UsageError, match="is no archive"):
        archive_url("/tmp/x", "node-a")
    with pytest.raises(UsageError, match="node name"):
        archive_url("s3://bucket/x", "../other")
    assert archive_url("s3://bucket/x/", "node-a") == "s3://bucket/x/node-a"
