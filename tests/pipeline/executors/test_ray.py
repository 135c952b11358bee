"""A query on a Ray cluster: the same rows, in order, whoever dies; and no key that it was not given."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wasmtime import Instance, Module, Store, Trap

from kubeshark.core_capture.store import (
    Identity,
    ReferencedSegments,
    Uploader,
    archive_url,
    open_letter,
    open_store,
    reference_of,
    write_letter,
)
from kubeshark.errors import Damaged, KubesharkError, StoreError
from kubeshark.pipeline import Entry, Pipeline
from kubeshark.pipeline.executors._ray import fault_handlers_kept
from tests.core_capture.store._servers import Server
from tests.pipeline._stores import long_talk, make_store

ray = pytest.importorskip("ray", reason='no Ray: pip install "kubeshark[ray]"')
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


TEMPORARY = "/tmp/kubeshark-ray-tests"
"""Short: Ray puts sockets there."""


@pytest.fixture(scope="module")
def talk() -> Any:
    return long_talk(6)


def trap() -> None:
    store = Store()
    trapping = Module(store.engine, '(module (func (export "f") unreachable))')
    with pytest.raises(Trap):
        Instance(store, trapping, []).exports(store)["f"](store)  # type: ignore[operator]


@pytest.fixture(scope="module")
def cluster(root: Path, moto_server: Server) -> Iterator[None]:
    """A local cluster of two processors whose workers find this module and the server."""
    trap()  # WebAssembly has its handlers now
    with pytest.MonkeyPatch.context() as patch:
        given = moto_server.environment() | {"PYTHONPATH": str(root), "RAY_USAGE_STATS_ENABLED": "0"}
        for name, value in given.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        with fault_handlers_kept():
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                namespace="kubeshark",
                log_to_driver=False,
                object_store_memory=100 << 20,
                _temp_dir=TEMPORARY,
            )
        try:
            yield
        finally:
            with fault_handlers_kept():  # it takes away more than it brought
                ray.shutdown()


@pytest.fixture
def archive(tmp_path: Path, talk: Any, url: str, moto_s3: Server) -> str:
    """Four segments in an archive, with connections that run through several."""
    Uploader(make_store(tmp_path / "store", talk, (17, 35, 52)), archive_url(url, "n")).run_once()
    return url


class Told:
    """Says who made a row, slowly; ends its process once, where a file is not there yet."""

    def __init__(self, marker: str = "", seconds: float = 0.0) -> None:
        self.marker, self.seconds = marker, seconds

    def __call__(self, entry: Entry) -> tuple[int, str]:
        time.sleep(self.seconds)
        if self.marker and str(entry.get("path")).startswith("/short"):
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid(), entry.id


class Always:
    """Ends every process that makes a row."""

    def __call__(self, entry: Entry) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return entry.id


def test_the_same_rows_in_the_same_order(archive: str, cluster: None) -> None:
    with Pipeline.open(archive) as pipeline:
        for kfl, options in (("http", {"limit": 7}), ("flow || http", {"order": "desc"}), ("", {})):
            one = list(pipeline.rows(kfl, **options))  # type: ignore[arg-type]
            far = pipeline.rows(kfl, jobs=2, executor="ray", **options)  # type: ignore[arg-type]
            assert list(far) == one != []
            assert far.problems == []
        told = "\n".join(far.explain())
        assert "done by       2 Ray actors" in told
        assert "per segment" in told
        found = list(pipeline.map(Told(seconds=0.02), "http", jobs=2, executor="ray"))
        assert os.getpid() not in {pid for pid, _ in found}
        assert [entry_id for _, entry_id in found] == [row["id"] for row in pipeline.rows("http", fields=[])]


def test_webassembly_beside_it_only_traps(cluster: None) -> None:
    """Ray's own handlers of faults, put over those that came before it, would end the process."""
    trap()


def test_first_rows_come_before_the_last_segment_is_read(archive: str, cluster: None) -> None:
    with Pipeline.open(archive) as pipeline:
        query = pipeline.map(Told(seconds=0.02), "http", jobs=1, executor="ray")
        rows = iter(query)
        next(rows)
        work = query._query._work
        assert work is not None
        assert 0 <= work.done < sum(task.size for task in work._tasks)  # type: ignore[attr-defined]
        query.cancel()
        assert len(list(rows)) < 60
        assert query.stopped == "cancelled"


def test_an_actor_that_is_killed_costs_nothing(archive: str, cluster: None, tmp_path: Path) -> None:
    with Pipeline.open(archive) as pipeline:
        marker = tmp_path / "died"
        query = pipeline.map(Told(str(marker)), "http", jobs=2, executor="ray")
        found = [entry_id for _, entry_id in query]
        assert marker.exists()
        assert query.problems == []
        assert found == [row["id"] for row in pipeline.rows("http", fields=[])]


@pytest.mark.slow
def test_a_task_that_kills_everybody_is_said(archive: str, cluster: None) -> None:
    with Pipeline.open(archive) as pipeline:
        query = pipeline.map(Always(), "http", jobs=2, executor="ray")
        assert list(query) == []
        assert query.problems
        assert all("actors died while they dissected" in str(problem) for problem in query.problems)


def test_what_is_not_on_object_storage_is_done_here(tmp_path: Path, talk: Any, cluster: None) -> None:
    with Pipeline.open(make_store(tmp_path / "here", talk, (17, 35))) as pipeline:
        found = list(pipeline.map(Told(), "http", jobs=2, executor="ray"))
        assert {pid for pid, _ in found} == {os.getpid()}
        assert len(found) == len(list(pipeline.rows("http", fields=[])))


def test_no_key_is_left_where_ray_keeps_things(archive: str, cluster: None) -> None:
    """What actors were given and gave: no identity, no file key, nothing dissected, on disk or in shared memory."""
    with Pipeline.open(archive) as pipeline:
        secrets = [identity.secret().encode() for identity in pipeline.store.identities]
        for info in pipeline.store.segments():
            reference = reference_of(pipeline.store.open_segment(info.name))
            assert reference is not None
            assert len(reference.key) == 16
            assert repr(reference.key) not in repr(reference)
            secrets.append(reference.key)
        rows = list(pipeline.rows("http", jobs=2, executor="ray"))
        secrets += [str(rows[0]["id"]).encode(), b'"requestSize"', b"/short"]
    looked = 0
    for base in (TEMPORARY, "/dev/shm"):
        for path in Path(base).rglob("*"):
            try:
                if not path.is_file() or path.stat().st_size > 300 << 20:
                    continue
                content = path.read_bytes()
            except OSError:
                continue
            looked += 1
            assert not [secret[:8] for secret in secrets if secret in content], path
    assert looked > 3


def test_a_reference_opens_one_segment_and_asks_for_nothing_else(archive: str) -> None:
    store = open_store(archive)
    names = [info.name for info in store.segments()]
    reader = store.open_segment(names[1])
    reference = reference_of(reader)
    assert reference is not None
    elsewhere = ReferencedSegments()
    far = elsewhere.open(pickle.loads(pickle.dumps(reference)))
    assert bytes(far.select(None)) == bytes(reader.select(None))
    asked = elsewhere.requests
    assert asked is not None
    assert (asked.lists, asked.reads, asked.writes) == (0, 2, 0)
    other = reference_of(store.open_segment(names[2]))
    assert other is not None
    wrong = type(reference)(reference.name, reference.url, other.key, reference.index, reference.data)
    with pytest.raises((Damaged, StoreError)):
        ReferencedSegments().open(wrong)


def test_letters() -> None:
    me, other = Identity.generate(), Identity.generate()
    for content in (b"", b"x", os.urandom(200_000)):
        sealed = write_letter(content, me.recipient)
        assert content == b"" or content[:50] not in sealed or len(content) < 2
        assert open_letter(sealed, me) == content
        with pytest.raises(KubesharkError):
            open_letter(sealed, other)
        broken = bytearray(sealed)
        broken[-1] ^= 1
        with pytest.raises(KubesharkError):
            open_letter(bytes(broken), me)


def test_without_ray_and_without_a_cluster(archive: str, root: Path) -> None:
    """One line each, and the command's own process needs no Ray to start."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "kubeshark", "query", "http", "--store", archive, "--executor", "ray"]
    away = subprocess.run(
        command,
        env={**environment, "RAY_ADDRESS": "127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert away.returncode == 1
    assert "the Ray cluster at 127.0.0.1:9 cannot be reached" in away.stderr.splitlines()[-1]
