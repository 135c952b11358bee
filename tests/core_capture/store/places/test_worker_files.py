"""A worker's store is read like any other, by everything that reads stores, and written by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store import Identity, Store
from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._worker_files import WorkerBackend
from kubeshark.errors import StoreError
from kubeshark.pipeline import Pipeline
from tests.core_capture.store._bench import Bench
from tests.worker._cluster import Running, in_thread


@pytest.fixture
def worker(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[Running]:
    issue(tmp_path / "pki", ["localhost"])
    monkeypatch.setenv("KUBESHARK_TLS", str(tmp_path / "pki" / "hub"))
    with Pipeline.open(bench.path, identities=[bench.me]) as pipeline:
        for name in ("sample.pcapng", "shop.pcapng.zst"):
            pipeline.import_file(root / "examples" / "captures" / name)
    from kubeshark.core_capture.store.places._tls_files import TlsFiles

    with in_thread(bench.path, TlsFiles.in_folder(tmp_path / "pki" / "localhost")) as running:
        yield running


def test_everything_that_reads_reads_it(worker: Running, bench: Bench, tmp_path: Path) -> None:
    identities: list[Identity] = [bench.me]
    here, there = (Pipeline.open(place, identities=identities, create=False) for place in (bench.path, worker.url))
    for kfl in ("", "dns", "http && status_code >= 400", "flow"):
        assert [e.to_dict() for e in there.query(kfl)] == [e.to_dict() for e in here.query(kfl)], kfl
    first = next(iter(here.query("http")))
    found = there.entry(first.id)
    assert found is not None
    assert found.to_dict() == first.to_dict()
    for pipeline, name in ((here, "here"), (there, "there")):
        pipeline.export("", tmp_path / name, format="pcapng")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
    report = there.verify()
    assert (report.segments, report.bytes) == (here.verify().segments, here.verify().bytes)
    mine, theirs = here.info(), there.info()
    assert theirs.pop("path") == worker.url
    mine.pop("path")
    assert theirs.pop("disk_bytes") <= mine.pop("disk_bytes")  # its lock is not shown
    for each in (mine, theirs):
        each.pop("cache")
    assert theirs == mine
    here.close()
    there.close()


def test_only_what_a_query_needs_is_fetched_and_said(worker: Running, bench: Bench) -> None:
    with Pipeline.open(worker.url, identities=[bench.me], create=False) as pipeline:
        query = pipeline.query("dst.port == 53")
        assert list(query)
        told = next(line for line in query.explain() if line.startswith("requests"))
        asked = pipeline.store.files.requests
    assert asked is not None
    assert f"{asked.bytes_read:,} bytes" in told
    assert 0 < asked.bytes_read < sum(path.stat().st_size for path in bench.path.iterdir()) / 3
    assert asked.writes == 0


def test_nothing_can_be_written(worker: Running, bench: Bench) -> None:
    store = Store.open(worker.url, identities=[bench.me])
    files = store.files
    assert isinstance(files, WorkerBackend)
    for attempt in (
        lambda: files.create(".tmp-x"),
        lambda: files.sync(".tmp-x"),
        lambda: files.publish(".tmp-x", "x"),
        files.settle,
        lambda: files.replace("store.json", b""),
        lambda: files.delete("store.json"),
        lambda: files.lock(".lock"),
        lambda: store.rotate_keys([bench.me.recipient]),
        store.recover,
    ):
        with pytest.raises(StoreError, match="can only be read"):
            attempt()
    assert not files.contains(bench.path)
    files.client.close()


def test_one_problem_however_many_files_are_away(worker: Running, bench: Bench) -> None:
    with Pipeline.open(worker.url, identities=[bench.me], create=False) as pipeline:
        assert len(pipeline.store.segments()) == 2
        query = pipeline.query("")
        worker.service.rates.burst = worker.service.rates.per_second = 0.001  # it answers nothing any more
        assert list(query) == []
        assert [type(problem) for problem in query.problems] == [Away]
        assert "is too busy" in str(query.problems[0])
