"""The façade: import, query, show and export one store, from Python alone."""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kubeshark import Pipeline
from kubeshark.core_capture.store import Identity, SourceInfo, Store, identity_path
from kubeshark.errors import InputError, StoreError, UsageError
from kubeshark.extension_api import CLIENT, SERVER
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.intake import _imports
from kubeshark.pipeline.query import _plan
from tests.core_capture.reference._packets import ethernet, udp
from tests.pipeline._stores import long_talk, make_store, mixed
from tests.pipeline._traffic import MS, SECOND, START_NS, Capture, Connection, batch, dns

SERVICES = 3  # connections of the capture below, each with one exchange


def services() -> Capture:
    capture = Capture()
    for number in range(SERVICES):
        connection = Connection(capture, client_port=40_000 + number).open().ask().answer()
        connection.end(CLIENT).end(SERVER)
        capture.add(dns(number, client_port=33_000 + number))
    return capture


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "services.pcap"
    path.write_bytes(services().pcap())
    return path


@pytest.fixture
def pipeline(tmp_path: Path, file: Path) -> Iterator[Pipeline]:
    with Pipeline.open(tmp_path / "store", plugins=Plugins()) as opened:
        opened.import_file(file)
        yield opened


# opening and identities


def test_opening_makes_a_store_and_an_identity_outside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    Pipeline.open(store).close()
    path = identity_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.is_relative_to(store)
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert "keep a copy" in line
    Pipeline.open(store).close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("way", ["inside", "through a link"])
def test_the_identity_never_lies_under_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    store = tmp_path / "store"
    if way == "inside":
        where = store / "keys" / "identity.age"
    else:
        store.mkdir()
        (tmp_path / "link").symlink_to(store)
        where = tmp_path / "link" / "identity.age"
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(where))
    with pytest.raises(StoreError, match="under the store"):
        Pipeline.open(store)
    assert not where.exists()


def test_an_identity_that_lies_under_the_store_imports_nothing(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pipeline.open(tmp_path / "store").close()
    inside = tmp_path / "store" / "identity.age"
    identity_path().rename(inside)
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(inside))
    with Pipeline.open(tmp_path / "store") as opened, pytest.raises(StoreError, match="inside the store"):
        opened.import_file(file)


def test_a_store_that_is_not_there_is_only_made_when_asked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        Pipeline.open(tmp_path / "none", create=False)
    assert not identity_path().exists()


def test_recipients_may_write_without_any_identity(tmp_path: Path, file: Path) -> None:
    reader = Identity.generate()
    other = tmp_path / "other.pcap"
    other.write_bytes(services().pcap()[:100])
    for path in (file, other):
        with Pipeline.open(tmp_path / "store", recipients=[str(reader.recipient)]) as writing:
            assert writing.import_file(path).packets > 0
    assert not identity_path().exists()
    with Pipeline.open(tmp_path / "store", identities=[reader]) as reading:
        assert reading.info()["sources"] == 2
        assert len(list(reading.query("http"))) == SERVICES


def test_given_identities_read_and_write(tmp_path: Path, file: Path) -> None:
    mine = Identity.generate()
    with Pipeline.open(tmp_path / "store", identities=[mine]) as opened:
        opened.import_file(file)
        assert len(list(opened.query("http"))) == SERVICES
    assert not identity_path().exists()
    with Pipeline.open(tmp_path / "store", identities=[Identity.generate()]) as other, pytest.raises(StoreError):
        list(other.query("http"))


# import


def test_an_import_counts_what_it_added_and_a_repetition_adds_nothing(tmp_path: Path, file: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with Pipeline.open(tmp_path / "store") as opened:
        first = opened.import_file(file, on_progress=lambda done, total: seen.append((done, total)))
        again = opened.import_file(file)
    packets = len(services().records)
    assert (first.packets, first.flows, first.segments, first.skipped) == (packets, 2 * SERVICES, 1, 0)
    assert (first.problems, first.already_there) == ((), False)
    size = file.stat().st_size
    assert (seen[0], seen[-1]) == ((size, 2 * size), (2 * size, 2 * size))  # its hash, then its packets
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (again.packets, again.skipped, again.already_there) == (0, packets, True)


def test_an_interrupted_import_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture()
    for number in range(2_000):
        capture.add(dns(number, client_port=20_000 + number))
    file = tmp_path / "long.pcap"
    file.write_bytes(capture.pcap())

    def interrupt(done: int, total: int | None) -> None:
        if done > file.stat().st_size:  # its hash is taken
            raise KeyboardInterrupt

    real = _imports.open_capture
    monkeypatch.setattr(_imports, "open_capture", lambda source, name: real(source, name=name, batch_bytes=1))
    with Pipeline.open(tmp_path / "store", plugins=Plugins()) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.import_file(file, on_progress=interrupt)
        kept = opened.info()["packets"]
        done = opened.import_file(file)
        assert 0 < kept < len(capture.records)
        assert (done.skipped, done.packets) == (kept, len(capture.records) - kept)
        assert not done.already_there
        out = io.BytesIO()
        opened.export("", out)
    assert out.getvalue()[24:] == b"".join(capture.records)


def test_standard_input_and_pipes_are_imported(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(file.read_bytes())))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(file.read_bytes(),))
    with Pipeline.open(tmp_path / "store") as opened:
        assert opened.import_file("-").packets == len(services().records)
        writer.start()
        assert opened.import_file(pipe).packets == len(services().records)
    writer.join()


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no capture")
    with Pipeline.open(tmp_path / "store") as opened:
        for path in (text, tmp_path / "missing", tmp_path):
            with pytest.raises(InputError, match=path.name):
                opened.import_file(path)
        assert opened.info()["segments"] == 0


def test_what_is_behind_damage_is_a_problem_of_the_import(tmp_path: Path, file: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(file.read_bytes()[:-3])
    with Pipeline.open(tmp_path / "store") as opened:
        result = opened.import_file(cut)
    assert result.packets == len(services().records) - 1
    assert len(result.problems) == 1


# queries


def test_a_query_is_explained(pipeline: Pipeline) -> None:
    found = pipeline.query("http && status_code == 200 && dst.port == 80")
    assert len(list(found)) == SERVICES
    text = "\n".join(found.explain())
    assert f"{SERVICES} selected of {2 * SERVICES}" in text
    assert f"{SERVICES} matched of {SERVICES}, 0 built in full" in text
    assert "1 read of 1 opened" in text
    assert (found.notices, found.problems) == ([], [])


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_the_same_filter_again_reads_nothing_again(tmp_path: Path, file: Path, cache_bytes: int) -> None:
    with Pipeline.open(tmp_path / "kept", plugins=Plugins(), cache_bytes=cache_bytes) as opened:
        opened.import_file(file)
        lists, explained = [], []
        for kfl in ("http", "http && status_code == 200", "http"):
            found = opened.query(kfl)
            lists.append([entry.to_dict() for entry in found])
            explained.append(found)
        assert lists[0] == lists[1] == lists[2]
        text = "\n".join(explained[2].explain())
        assert ("1 of 1 blocks" in text) == bool(cache_bytes)
        assert (" bytes of packets in 0 blocks" in text) == bool(cache_bytes)
        assert opened.info()["cache"]["hits"] == opened.cache.hits == (2 if cache_bytes else 0)
        opened.free_memory()
        assert opened.cache.bytes == 0
        assert [entry.to_dict() for entry in opened.query("http")] == lists[0]
    assert opened.cache.bytes == 0  # nothing decrypted outlives it


def test_windows_and_limits(pipeline: Pipeline) -> None:
    starts = [entry.start_ns for entry in pipeline.query("http")]
    assert [e.start_ns for e in pipeline.query("http", since_ns=starts[1])] == starts[1:]
    assert [e.start_ns for e in pipeline.query("http", until_ns=starts[1])] == starts[:2]
    assert [e.start_ns for e in pipeline.query("http", limit=1)] == starts[:1]
    assert list(pipeline.query("http", since_ns=starts[-1] + SECOND)) == []


@pytest.mark.parametrize("kfl", ["", "http", "http || dns", 'url == "/a"'])
def test_batches_are_the_entries_columns(pipeline: Pipeline, kfl: str) -> None:
    fields = ["id", "timestamp", "src.ip", "dst.port", "protocol", "url", "status_code", "dns_questions", "conn"]
    entries = [{name: entry.get(name) for name in fields} for entry in pipeline.query(kfl)]
    rows = [
        dict(zip(fields, values, strict=True))
        for batch in pipeline.query(kfl).batches(fields)
        for values in zip(*(batch[name] for name in fields), strict=True)
    ]
    assert rows == entries
    assert bool(rows)


def test_segments_outside_the_window_are_not_opened(pipeline: Pipeline) -> None:
    found = pipeline.query("", since_ns=START_NS + 3600 * SECOND)
    assert list(found) == []
    assert "0 read of 0 opened" in "\n".join(found.explain())


def test_a_broken_off_query_lets_go_of_its_segments(pipeline: Pipeline) -> None:
    found = pipeline.query("")
    for _ in found:
        break
    assert pipeline.store.info().segments == 1


def test_evaluation_errors_and_translations_are_notices(pipeline: Pipeline) -> None:
    found = pipeline.query("http && path_segments[9] == 'x'")
    assert list(found) == []
    (notice,) = found.notices
    assert notice.startswith(f"{SERVICES} entries did not match")


def test_a_bad_filter_is_refused_at_once(pipeline: Pipeline) -> None:
    with pytest.raises(UsageError):
        pipeline.query("http &&")


def test_variables_are_those_of_kfl(pipeline: Pipeline) -> None:
    assert {"http", "status_code", "src.ip"} <= set(pipeline.variables)


# one entry


def test_every_entry_is_found_again_by_its_id(pipeline: Pipeline) -> None:
    for entry in pipeline.query("http || dns || conn"):
        again = pipeline.entry(entry.id)
        assert again is not None
        assert again.to_dict() == entry.to_dict()


def test_an_entry_that_runs_through_segments_is_found_whole(tmp_path: Path) -> None:
    capture = Capture()
    connection = Connection(capture).open().ask().answer()
    connection.ask(b"GET /big HTTP/1.1\r\n\r\n").answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
    for _ in range(20):
        connection.answer(b"x" * 100)
    identity = Identity.generate()
    store = Store.open(tmp_path / "store", identities=[identity], create=True)
    with store.writer([identity.recipient], source=SourceInfo("s"), segment_bytes=1_000) as writer:
        for record in capture.records:
            writer.add(batch([record]))
        writer.finish()
    with Pipeline.open(tmp_path / "store", identities=[identity], plugins=Plugins()) as opened:
        assert opened.info()["segments"] > 1
        (entry,) = opened.query('path == "/big"')
        assert len(entry.facts.parts) == opened.info()["segments"]
        assert (entry.error, entry.get("response_body")) == (None, "x" * 2_000)
        again = opened.entry(entry.id)
        assert again is not None
        assert again.to_dict() == entry.to_dict()


def test_ids_of_nothing(pipeline: Pipeline) -> None:
    (segment,) = (info.name for info in pipeline.store.segments())
    for text in (f"{segment}-999-0", f"{segment}-0-999", "20000101T000000Z-x-0001-0-0", "../x-0-0", "a\0b-0-0"):
        assert pipeline.entry(text) is None
    with pytest.raises(UsageError, match="not an entry id"):
        pipeline.entry("nonsense")


# export


@pytest.mark.parametrize(
    ("exact", "dissected"),
    [
        ("dst.port == 80", 'dst.port == 80 && protocol != "none"'),
        ('transport == "udp"', "udp_conn"),
        ("dst.port == 53", "dns"),
        ("dst.port == 80", "tcp_flow"),
        ("src.port == 40001", 'conn && dyn(src.port) == 40001 && conn_state == "closed"'),
    ],
)
def test_exact_and_dissected_selections_export_the_same(pipeline: Pipeline, exact: str, dissected: str) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    one, two = pipeline.export(exact, first), pipeline.export(dissected, second)
    assert first.getvalue() == second.getvalue()
    assert one == two
    assert one.packets > 0
    assert one.bytes == len(first.getvalue())


def test_everything_is_exported_byte_for_byte(pipeline: Pipeline, file: Path) -> None:
    out = io.BytesIO()
    assert pipeline.export("", out).packets == len(services().records)
    assert out.getvalue()[24:] == file.read_bytes()[24:]


def test_whole_connections_are_exported_in_capture_order(pipeline: Pipeline) -> None:
    out = io.BytesIO()
    pipeline.export('http && src.port == 40001 && path == "/a"', out)
    assert out.getvalue()[24:] == b"".join(services().records[7:13])


def test_a_window_cuts_packets(pipeline: Pipeline) -> None:
    out = io.BytesIO()
    pipeline.export("", out, since_ns=START_NS + 2 * MS, until_ns=START_NS + 4 * MS)
    assert out.getvalue()[24:] == b"".join(services().records[2:5])


def test_a_file_appears_whole_or_not_at_all(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: object, out: io.BytesIO, **_: object) -> None:
        out.write(b"half")
        raise StoreError("the disk is gone")

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("kubeshark.pipeline.exports._export.export", fail)
        with pytest.raises(StoreError):
            pipeline.export("", tmp_path / "out.pcap")
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UsageError):
        pipeline.export("http &&", tmp_path / "out.pcap")
    assert sorted(tmp_path.iterdir()) == before
    pipeline.export("", tmp_path / "out.pcap")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "out.pcap"])


def test_an_older_export_stays_when_a_new_one_fails(pipeline: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    out.write_bytes(b"old")
    with pytest.raises(UsageError):
        pipeline.export("nope", out)
    assert out.read_bytes() == b"old"


def test_standard_output(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    assert pipeline.export("dns", "-").packets == SERVICES
    assert out.getvalue()


def test_pcapng(pipeline: Pipeline) -> None:
    out = io.BytesIO()
    assert pipeline.export("", out, format="pcapng").packets == len(services().records)
    assert out.getvalue().startswith(b"\x0a\x0d\x0d\x0a")


def test_a_tunnel_is_exported_with_what_runs_inside(tmp_path: Path) -> None:
    capture = Capture()
    for number in range(2):
        capture.add(udp(b"\x08\0\0\0\0\0\x07\0" + ethernet(0x0800, dns(number)), (50_000 + number, 4789)))
    path = tmp_path / "vxlan.pcap"
    path.write_bytes(capture.pcap())
    with Pipeline.open(tmp_path / "store", plugins=Plugins()) as opened:
        opened.import_file(path)
        for kfl in ("src.port == 50000", "udp_conn && src.port == 50000"):
            out = io.BytesIO()
            assert opened.export(kfl, out).packets >= 1, kfl
            assert capture.records[0] in out.getvalue(), kfl


# the rest


def test_what_the_store_holds(pipeline: Pipeline, file: Path) -> None:
    info = pipeline.info()
    assert (info["packets"], info["flows"], info["segments"], info["sources"]) == (
        len(services().records),
        2 * SERVICES,
        1,
        1,
    )
    assert info["first"] == "2023-11-14T22:13:20.000000000Z"
    assert [segment["source"] for segment in info["list"]] == [file.name]
    assert (info["link_types"], info["problems"], info["leftovers"]) == ([101], [], [])


def test_an_empty_store(tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as opened:
        assert (opened.info()["packets"], opened.info()["first"]) == (0, None)
        assert list(opened.query("")) == []
        assert opened.export("", io.BytesIO()).packets == 0


def test_verify_authenticates(pipeline: Pipeline) -> None:
    assert pipeline.verify().is_sound


def test_queries_change_nothing_on_disk(pipeline: Pipeline) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(pipeline.store.location).iterdir()}
    list(pipeline.query("http && request.headers['host'] == 'h'"))
    pipeline.export("http", io.BytesIO())
    pipeline.info()
    assert {path: path.stat().st_mtime_ns for path in Path(pipeline.store.location).iterdir()} == before


# rows, pages, budgets


def test_rows_are_variables_or_documents(pipeline: Pipeline) -> None:
    entries = list(pipeline.query("http"))
    rows = list(pipeline.rows("http", fields=["path", "status_code"]))
    assert rows == [
        {"id": entry.id, "timestamp": entry.start_ns, "path": "/a", "status_code": 200} for entry in entries
    ]
    assert list(pipeline.rows("http")) == [entry.to_dict() for entry in entries]
    with pytest.raises(UsageError, match="nope"):
        pipeline.rows("http", fields=["nope"])


def test_pages_go_forth_and_back(pipeline: Pipeline) -> None:
    whole = [entry.id for entry in pipeline.query("http || dns")]
    first = pipeline.query("http || dns", limit=2)
    assert [entry.id for entry in first] == whole[:2]
    second = pipeline.query("http || dns", limit=2, after=first.cursor)
    assert [entry.id for entry in second] == whole[2:4]
    back = pipeline.query("http || dns", limit=2, before=second.cursor_back)
    assert [entry.id for entry in back] == whole[:2]
    newest = pipeline.query("http || dns", limit=1, order="desc")
    assert [entry.id for entry in newest] == whole[-1:]
    everything = pipeline.query("http || dns")
    assert [entry.id for entry in everything] == whole
    assert everything.cursor is None


def test_what_is_no_cursor_is_wrong_usage(pipeline: Pipeline) -> None:
    with pytest.raises(UsageError, match="is not a cursor"):
        pipeline.query("http", after="nonsense")


def test_a_budget_is_told_with_where_to_go_on(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", long_talk(6), [17, 35, 52])
    with Pipeline.open(store, plugins=Plugins()) as opened:
        whole = [entry.id for entry in opened.query("http")]
        query = opened.query("http", max_bytes=1)
        found = [entry.id for entry in query]
        assert 0 < len(found) < len(whole)
        assert query.stopped == "stopped after 1 bytes decrypted"
        assert found + [entry.id for entry in opened.query("http", after=query.cursor)] == whole
        stopped = opened.query("http")
        stopped.cancel()
        assert list(stopped) == []
        assert stopped.stopped == "cancelled"


def test_a_budget_ends_inside_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "FIRST_CHUNK_BYTES", 700)
    monkeypatch.setattr(_plan, "BUDGET_CHUNK_BYTES", 700)
    store = make_store(tmp_path / "store", mixed(12))
    with Pipeline.open(store, plugins=Plugins()) as opened:
        whole = [entry.id for entry in opened.query("")]
        query = opened.query("", max_seconds=0)
        found = [entry.id for entry in query]
        assert 0 < len(found) < len(whole) / 2
        rest = opened.query("", after=query.cursor, max_seconds=1e6)
        assert found + [entry.id for entry in rest] == whole
        assert rest._query.read.blocks == 1  # its small chunks share blocks: each is decrypted once
        assert rest._query.read.kept_blocks > 3
        assert opened.cache.blocks == 0  # and they go with the query


def test_a_window_of_a_store_shows_the_same_entries(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", long_talk(6), [17, 35, 52])
    with Pipeline.open(store, plugins=Plugins()) as opened:
        whole = [(entry.start_ns, entry.to_dict()) for entry in opened.query("http || dns")]
        for low in range(0, len(whole), 3):
            since_ns, until_ns = whole[low][0], whole[min(low + 4, len(whole) - 1)][0]
            found = opened.query("http || dns", since_ns=since_ns, until_ns=until_ns)
            assert [entry.to_dict() for entry in found] == [
                document for start_ns, document in whole if since_ns <= start_ns <= until_ns
            ]
