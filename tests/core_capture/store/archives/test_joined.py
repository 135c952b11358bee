"""Several stores as one: what they hold together, and what is there when some of them are not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store import Away, Identity, JoinedStore, Store, TlsFiles, open_store
from kubeshark.core_capture.store.archives import _joined
from kubeshark.errors import StoreError, UsageError
from kubeshark.pipeline import Pipeline
from tests.pipeline._traffic import MS
from tests.pipeline.reading.test_twins import ID as WRITERS
from tests.pipeline.reading.test_twins import store_of, traffic
from tests.worker._cluster import Running, in_thread

NODES = ("a", "b", "c")


class Status(msgspec.Struct):
    node: str


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "pki"
    issue(folder, ["localhost"])
    return folder


@pytest.fixture
def hub_tls(pki: Path) -> TlsFiles:
    return TlsFiles.in_folder(pki / "hub")


@pytest.fixture
def cluster(tmp_path: Path, pki: Path) -> Iterator[list[Running]]:
    """Three workers: a and b saw the same, c something else."""
    with ExitStack() as stack:
        running = []
        for node, records in zip(
            NODES,
            (
                traffic().records,
                traffic(clock_ns=MS).records,
                traffic(clock_ns=60_000 * MS, connections=2, first=50).records,
            ),
            strict=True,
        ):
            store = store_of(tmp_path / node, **{node: records})
            running.append(stack.enter_context(in_thread(store, TlsFiles.in_folder(pki / "localhost"))))
        yield running


def opened(tmp_path: Path, cluster: list[Running], tls: TlsFiles) -> Pipeline:
    return Pipeline.open(tmp_path / "own", identities=[WRITERS], workers=[worker.url for worker in cluster], tls=tls)


def test_what_they_hold_together(tmp_path: Path, cluster: list[Running], hub_tls: TlsFiles) -> None:
    with opened(tmp_path, cluster, hub_tls) as pipeline:
        assert [info.node for info in pipeline.store.segments()] == ["a", "b", "c"]
        query = pipeline.query("http or dns")
        found = list(query)
        assert (query.problems, len(found)) == ([], 6 * 4 + 2 * 4)
        assert sorted({tuple(entry.facts.nodes) for entry in found}) == [("a", "b"), ("c",)]
        assert found == sorted(found, key=lambda entry: (entry.start_ns, entry.id))
        assert len({entry.id for entry in found}) == len(found)
        document = found[0].to_dict()
        assert (document["worker"], document["nodes"], found[0].row()["worker"]) == ("a", ["a", "b"], "a, b")
        assert len(list(pipeline.query('"b" in nodes && http'))) == 6 * 3
        assert len(list(pipeline.query('worker == "c" && http'))) == 2 * 3
        told = next(line for line in query.explain() if line.startswith("requests"))
        fetched = sum(member.files.requests.bytes_read for member in pipeline.store.members)  # type: ignore[attr-defined]
        assert fetched > 0
        assert "reads of" in told
        info = pipeline.info()
        assert (info["segments"], info["packets"]) == (3, 2 * 6 * 12 + 2 * 12)
        again = pipeline.entry(found[-1].id)
        assert again is not None
        assert again.to_dict() == found[-1].to_dict()
        assert pipeline.store.overview().compression is not None


def test_what_is_written_goes_into_its_own(
    tmp_path: Path, cluster: list[Running], hub_tls: TlsFiles, root: Path
) -> None:
    with opened(tmp_path, cluster, hub_tls) as pipeline:
        done = pipeline.import_file(root / "examples" / "captures" / "sample.pcapng")
        assert done.packets == 1_360
        assert len(pipeline.store.segments()) == 4
        assert pipeline.import_file(root / "examples" / "captures" / "sample.pcapng").packets == 0
        assert len(Store.open(tmp_path / "own", identities=[WRITERS]).segments()) == 1
        assert pipeline.verify().is_sound


def test_one_that_is_gone_is_named_and_comes_back(
    tmp_path: Path, cluster: list[Running], hub_tls: TlsFiles, pki: Path
) -> None:
    with ExitStack() as stack:
        fourth = stack.enter_context(
            in_thread(
                store_of(tmp_path / "d", d=traffic(clock_ns=90_000 * MS, first=70).records),
                TlsFiles.in_folder(pki / "localhost"),
            )
        )
        pipeline = stack.enter_context(opened(tmp_path, [*cluster, fourth], hub_tls))
        store = pipeline.store
        assert isinstance(store, JoinedStore)
        assert len(list(pipeline.query("http"))) == 6 * 3 + 2 * 3 + 6 * 3
        member = store.members[3]
        assert (member.state, member.why) == ("up", "")
        open_query = pipeline.query("http")  # its indexes are here, its packets are not
        fourth.service.rates.burst = fourth.service.rates.per_second = 1e-9
        assert len(list(open_query)) == 6 * 3 + 2 * 3
        assert [str(problem) for problem in open_query.problems] == [f"{fourth.url}: is too busy"]
        query = pipeline.query("http")
        assert len(list(query)) == 6 * 3 + 2 * 3
        assert [type(problem) for problem in query.problems] == [Away]
        assert fourth.url in str(query.problems[0])
        assert member.state == "away"
        fourth.service.rates.burst = fourth.service.rates.per_second = 1e9
        assert store.check(member, Status).node == "node-1"
        query = pipeline.query("http")
        assert (len(list(query)), query.problems) == (6 * 3 + 2 * 3 + 6 * 3, [])


def test_one_that_is_late_keeps_nobody_waiting(
    tmp_path: Path, cluster: list[Running], hub_tls: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_joined, "ANSWER_SECONDS", 1.5)  # the others need some of it on a slow machine
    gate = threading.Event()
    slow = cluster[2].service.files
    listed = slow.list

    def wait() -> list[object]:
        gate.wait(200)
        return listed()  # type: ignore[return-value]

    monkeypatch.setattr(slow, "list", wait)
    with opened(tmp_path, cluster, hub_tls) as pipeline:
        began = time.monotonic()
        for _ in range(3):
            query = pipeline.query("http")
            assert len(list(query)) == 6 * 3
            assert [str(problem) for problem in query.problems] == [
                f"{cluster[2].url}: has not answered for 1.5 s: its packets are missing here"
            ]
        assert time.monotonic() - began < 100, "of 200, that one of them would wait"
        member = pipeline.store.members[2]  # type: ignore[attr-defined]
        assert member.state == "late"
        gate.set()
        while member.state != "up":
            time.sleep(0.01)
        query = pipeline.query("http")
        assert (len(list(query)), query.problems) == (6 * 3 + 2 * 3, [])


def test_a_segment_that_two_of_them_list(tmp_path: Path, pki: Path, hub_tls: TlsFiles) -> None:
    """Somebody who copied a store, or lies: whose it was first keeps it, and it is said."""
    store = store_of(tmp_path / "a", a=traffic().records)
    with ExitStack() as stack:
        both = [stack.enter_context(in_thread(store, TlsFiles.in_folder(pki / "localhost"))) for _ in range(2)]
        pipeline = stack.enter_context(opened(tmp_path, both, hub_tls))
        query = pipeline.query("http")
        assert len(list(query)) == 6 * 3
        assert len(query.problems) == 1
        assert "is another store's, its copy is left out" in str(query.problems[0])


def test_what_is_no_worker(tmp_path: Path, hub_tls: TlsFiles) -> None:
    for url in ("http://localhost:1", "https://", "https://u:p@h", "https://h/path", "s3://b", "h:1"):
        with pytest.raises((UsageError, StoreError)):
            open_store(tmp_path, workers=[url], tls=hub_tls, identities=[Identity.generate()])
