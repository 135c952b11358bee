"""Several nodes' archives in one bucket: one store to read, beside the workers that still hold a part of it."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store import (
    JoinedStore,
    NameRecord,
    Retention,
    Store,
    TlsFiles,
    Uploader,
    archive_url,
    open_store,
)
from kubeshark.core_capture.store.places import _object_client
from kubeshark.errors import StoreError, UsageError
from kubeshark.pipeline import Pipeline
from tests.core_capture.store._servers import BUCKET, Server
from tests.pipeline._traffic import MS
from tests.pipeline.reading.test_twins import ID as WRITERS
from tests.pipeline.reading.test_twins import store_of, traffic
from tests.worker._cluster import in_thread


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Path]:
    """Stores of three nodes: a and b saw the same, c something else."""
    seen = {
        "a": traffic().records,
        "b": traffic(clock_ns=MS).records,
        "c": traffic(clock_ns=60_000 * MS, connections=2, first=50).records,
    }
    return {node: store_of(tmp_path / node, **{node: records}) for node, records in seen.items()}


@pytest.fixture
def archive(nodes: dict[str, Path], url: str, server: Server) -> str:
    for node, folder in nodes.items():
        assert Uploader(folder, archive_url(url, node)).run_once().problem == ""
    return url


def documents(path: str | Path, kfl: str = "", jobs: int = 1) -> list[object]:
    with Pipeline.open(path, identities=[WRITERS]) as pipeline:
        query = pipeline.rows(kfl, jobs=jobs)
        found: list[object] = list(query)
        assert query.problems == []
        return found


def test_it_is_one_store(archive: str) -> None:
    with Pipeline.open(archive, identities=[WRITERS]) as pipeline:
        assert [info.node for info in pipeline.store.segments()] == ["a", "b", "c"]
        query = pipeline.query("http or dns")
        found = list(query)
        assert (query.problems, len(found)) == ([], 6 * 4 + 2 * 4)  # what two nodes saw is one
        assert sorted({tuple(entry.facts.nodes) for entry in found}) == [("a", "b"), ("c",)]
        again = pipeline.entry(found[-1].id)
        assert again is not None
        assert again.to_dict() == found[-1].to_dict()
        info = pipeline.info()
        assert (info["segments"], info["packets"], info["problems"]) == (3, 2 * 6 * 12 + 2 * 12, [])
        assert pipeline.store.verify([]).is_sound
        assert pipeline.store.snapshots() == []


def test_names_that_a_reader_of_it_shares(archive: str, tmp_path: Path) -> None:
    hub = open_store(tmp_path / "hub", identities=[WRITERS], archives=[archive], create=True)
    assert isinstance(hub, JoinedStore)
    known = [NameRecord(kind="pod", name="cart-1", addresses=("10.0.0.1",), since_ns=0)]
    hub.change_names(lambda _: known)
    hub.share_names("hub")
    there = open_store(archive, identities=[WRITERS])
    assert there.names() == known
    assert [info.node for info in there.segments()] == ["a", "b", "c"]
    assert there.verify([]).is_sound
    assert there.problems == []


def test_processes_open_it_too(archive: str) -> None:
    assert documents(archive, jobs=2) == documents(archive)


def test_nodes_that_come_later(archive: str, url: str, tmp_path: Path) -> None:
    store = open_store(archive, identities=[WRITERS])
    assert len(store.segments()) == 3
    late = store_of(tmp_path / "d", d=traffic(clock_ns=90_000 * MS, first=70).records)
    Uploader(late, archive_url(url, "d")).run_once()
    store.files._forget()  # type: ignore[attr-defined]
    assert [info.node for info in store.segments()] == ["a", "b", "c", "d"]


def test_beside_workers_a_copy_is_shown_once(archive: str, nodes: dict[str, Path], tmp_path: Path) -> None:
    """A worker that has uploaded, one that let go of all it had, and one that is gone."""
    issue(tmp_path / "pki", ["localhost"])
    alone = documents(archive)
    with in_thread(nodes["a"], TlsFiles.in_folder(tmp_path / "pki" / "localhost")) as first:
        with beside(tmp_path, first.url, archive) as pipeline:
            query = pipeline.rows()
            assert list(query) == alone
            assert query.problems == []
            store = pipeline.store
            assert isinstance(store, JoinedStore)
            (name,) = [info.name for info in store.segments() if info.node == "a"]
            held = store.members[0].store
            assert store._owners[name] is store.members[0]
            assert pipeline.info()["segments"] == 3
            Store.open(nodes["a"], identities=[WRITERS]).prune(Retention(1))
            held._indexes.clear()
            assert store.open_segment(name).info.node == "a"  # from the archive
            held.files._forget()  # type: ignore[attr-defined]
            query = pipeline.rows()
            assert list(query) == alone
            assert query.problems == []
            assert store._owners[name] is not store.members[0]
        gone = first.url
    with beside(tmp_path, gone, archive) as pipeline:
        query = pipeline.rows()
        assert list(query) == alone  # the worker is away: that is said, and nothing is missing
        assert [gone in str(problem) for problem in query.problems] == [True]


def beside(tmp_path: Path, worker: str, archive: str) -> Pipeline:
    tls = TlsFiles.in_folder(tmp_path / "pki" / "hub")
    return Pipeline.open(tmp_path / "own", identities=[WRITERS], workers=[worker], archives=[archive], tls=tls)


def test_a_copy_that_differs_is_said(archive: str, tmp_path: Path, url: str) -> None:
    """Somebody who writes to the bucket gives another node's name to a segment."""
    other = store_of(tmp_path / "x", a=traffic(clock_ns=5 * MS).records)
    Uploader(other, archive_url(url, "x")).run_once()
    before = {info.name for info in open_store(archive, identities=[WRITERS]).segments()}
    store = open_store(archive, identities=[WRITERS])
    theirs = {info.name for info in Store.open(other, identities=[WRITERS]).segments()}
    assert len(store.segments()) == len(before | theirs)
    said = [str(problem) for problem in store.problems]
    assert len(said) == (1 if theirs <= before else 0) or any("its copy is left out" in text for text in said)


def test_nothing_is_written_at_its_prefix(archive: str, server: Server) -> None:
    store = open_store(archive, identities=[WRITERS], create=True)
    before = server.objects(archive.removeprefix(f"s3://{BUCKET}/")).keys()
    for call in (store.prune, store.recover, store.add_snapshot, store.writer, store.rotate_keys):
        with pytest.raises(StoreError, match=r"is an archive of 3 nodes, each a store of its own: name one of them"):
            call()  # type: ignore[operator]
    with pytest.raises(StoreError, match="name one of the nodes below it"):
        Store.open(archive, identities=[WRITERS])
    assert server.objects(archive.removeprefix(f"s3://{BUCKET}/")).keys() == before


def test_an_archive_that_is_away_is_a_problem_of_the_query(
    nodes: dict[str, Path], moto_s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(_object_client, "RETRIES", 0)
    with Pipeline.open(nodes["a"], identities=[WRITERS], archives=["s3://nowhere/archive"]) as pipeline:
        query = pipeline.query("http")
        assert len(list(query)) == 6 * 3
        assert ["cannot be reached" in str(problem) for problem in query.problems] == [True]


def test_what_is_no_archive(tmp_path: Path) -> None:
    for url in ("https://localhost", str(tmp_path)):
        with pytest.raises(UsageError, match="is no archive"):
            open_store(tmp_path, archives=[url], identities=[WRITERS])
    with pytest.raises(UsageError, match="credentials do not belong"):
        open_store("s3://me:secret@bucket/x", identities=[WRITERS])


def test_a_store_with_prefixes_below_it_is_a_store(nodes: dict[str, Path], url: str, moto_s3: Server) -> None:
    Uploader(nodes["a"], archive_url(url, "a")).run_once()
    obstore.put(moto_s3.bucket(f"{url.removeprefix(f's3://{BUCKET}/')}/a"), "below/file", b"x")
    store = open_store(f"{url}/a", identities=[WRITERS])
    assert not store.is_joined
    assert len(store.segments()) == 1
