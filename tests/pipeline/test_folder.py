"""A folder of rotating captures: each packet once, also after a restart, a rename and a file that is written over."""

from __future__ import annotations

import gzip
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Store, create_identity
from kubeshark.errors import InputError
from kubeshark.pipeline import ImportResult, _folder
from kubeshark.pipeline._folder import FolderImport
from tests.pipeline.test_capture import record

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(_folder, "SETTLE_S", 0.3)
    monkeypatch.setattr(_folder, "LOOK_S", 0.05)
    identity = create_identity(tmp_path / "id.age")
    return Store.open(tmp_path / "store", identities=[identity], create=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "captures"
    folder.mkdir()
    return folder


@contextmanager
def following(store: Store, folder: Path, **options: float) -> Iterator[list[ImportResult]]:
    job = FolderImport(store, [str(store.identities[0].recipient)], folder, **options)  # type: ignore[arg-type]
    results: list[ImportResult] = []
    thread = threading.Thread(target=lambda: results.append(job.run()))
    thread.start()
    try:
        yield results
    finally:
        job.stop()
        thread.join(30)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def stored(store: Store) -> int:
    return sum(info.packets for info in store.segments())


def make(path: Path, first: int, count: int) -> None:
    path.write_bytes(HEADER + b"".join(record(number) for number in range(first, first + count)))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_files_that_are_there_that_come_and_that_grow(store: Store, folder: Path) -> None:
    make(folder / "1.pcap", 0, 10)
    with following(store, folder, seal_s=0.1) as results:
        make(folder / "2.pcap", 10, 10)
        until(lambda: stored(store) >= 10)
        piece = record(20) + record(21)
        append(folder / "2.pcap", piece[:50])
        time.sleep(0.2)
        append(folder / "2.pcap", piece[50:])
        time.sleep(0.2)
        make(folder / "3.pcap", 22, 5)
        until(lambda: stored(store) == 27)
    assert (results[0].packets, results[0].problems) == (27, ())
    with following(store, folder, seal_s=0.1) as results:
        append(folder / "3.pcap", record(27))
        until(lambda: stored(store) == 28)
    assert results[0].packets == 1


def test_a_renamed_and_compressed_file_is_the_same(store: Store, folder: Path) -> None:
    make(folder / "1.pcap", 0, 10)
    with following(store, folder):
        make(folder / "2.pcap", 10, 1)
        until(lambda: stored(store) >= 10)
        (folder / "1.pcap.gz").write_bytes(gzip.compress((folder / "1.pcap").read_bytes()))
        (folder / "1.pcap").unlink()
        make(folder / "3.pcap", 11, 1)
        until(lambda: stored(store) >= 11)
    assert stored(store) in (11, 12)
    with following(store, folder, seal_s=0.1):
        until(lambda: stored(store) == 12)


def test_a_file_that_is_written_over_is_another(store: Store, folder: Path) -> None:
    make(folder / "ring.pcap", 0, 10)
    with following(store, folder, seal_s=0.1):
        until(lambda: stored(store) == 10)
        make(folder / "ring.pcap", 100, 3)
        make(folder / "next.pcap", 200, 3)
        until(lambda: stored(store) == 16)


def test_what_waits_is_sealed_in_time(store: Store, folder: Path) -> None:
    make(folder / "1.pcap", 0, 10)
    with following(store, folder, seal_s=0.1):
        until(lambda: stored(store) == 10)
        append(folder / "1.pcap", record(10))
        until(lambda: stored(store) == 11)
    assert stored(store) == 11


def test_what_is_no_capture_is_said_once_and_the_rest_goes_on(store: Store, folder: Path) -> None:
    (folder / "notes.txt").write_text("these are notes, not packets at all")
    make(folder / "1.pcap", 0, 10)
    with following(store, folder, seal_s=0.1) as results:
        make(folder / "2.pcap", 10, 1)
        until(lambda: stored(store) == 11)
    (problem,) = results[0].problems
    assert "notes.txt: is neither pcap nor pcapng" in problem
    with pytest.raises(InputError, match="is no folder"):
        FolderImport(store, [], folder / "1.pcap")
