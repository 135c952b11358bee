"""A worker that uploads: what it says of it, what a hub sees beside it, and what is left when it is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kubeshark.core_capture.store import JoinedStore, archive_url, open_store
from kubeshark.pipeline import Pipeline
from kubeshark.worker._status import Archive, Status
from tests.core_capture.store._servers import Server
from tests.pipeline.reading.test_twins import ID, store_of, traffic
from tests.worker._cluster import Pki, Process


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.05)


def test_what_it_holds_gets_to_the_archive(tmp_path: Path, url: str, moto_s3: Server) -> None:
    store = store_of(tmp_path / "a", a=traffic().records)
    with Pipeline.open(store, identities=[ID]) as opened:
        alone = [row["id"] for row in opened.rows(fields=["id"])]
    pki = Pki(tmp_path / "pki", "localhost")
    worker = Process(
        store, tmp_path / "pki" / "localhost", home=tmp_path / "nobody", options=("--node", "a", "--upload", url)
    )
    worker.environment = moto_s3.environment()
    with worker:
        address = f"https://localhost:{worker.port}"
        opened = Pipeline.open(
            tmp_path / "own", identities=[ID], workers=[address], archives=[url], tls=pki.files("hub")
        )
        with opened as hub:
            joined = hub.store
            assert isinstance(joined, JoinedStore)

            def said() -> Archive:
                archive = joined.check(joined.members[0], Status).archive
                assert archive is not None
                return archive

            until(lambda: said().uploaded == 1 and said().state == "waiting")
            assert (said().url, said().waiting, said().lost, said().problem) == (archive_url(url, "a"), 0, 0, "")
            query = hub.rows(fields=["id"])
            assert [row["id"] for row in query] == alone
            assert query.problems == []
            worker.kill()
            worker.start()  # on another port: the hub asks the old one
            query = hub.rows(fields=["id"])
            assert [row["id"] for row in query] == alone  # from the archive
            assert [address in str(problem) for problem in query.problems] == [True]
    assert [info.node for info in open_store(url, identities=[ID]).segments()] == ["a"]


def test_an_archive_that_refuses_is_said_and_nothing_else_suffers(tmp_path: Path, url: str, moto_s3: Server) -> None:
    store = store_of(tmp_path / "a", a=traffic().records)
    pki = Pki(tmp_path / "pki", "localhost")
    worker = Process(
        store, tmp_path / "pki" / "localhost", home=tmp_path / "nobody", options=("--node", "a", "--upload", url)
    )
    worker.environment = moto_s3.environment() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with worker:
        address = f"https://localhost:{worker.port}"
        with Pipeline.open(tmp_path / "own", identities=[ID], workers=[address], tls=pki.files("hub")) as hub:
            joined = hub.store
            assert isinstance(joined, JoinedStore)
            assert len(hub.store.segments()) == 1

            def problem() -> str:
                archive = joined.check(joined.members[0], Status).archive
                return archive.problem if archive else ""

            until(lambda: bool(problem()))
            assert "cannot be reached" in problem()
            assert "\n" not in problem()
