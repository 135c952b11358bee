"""A folder of rotating captures: each packet once, also after a restart, a rename and a file that is written over."""

from __future__ import annotations

import gzip
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Store, create_identity
from kubeshark.errors import InputError
from kubeshark.pipeline import ImportResult
from kubeshark.pipeline.intake import _folder
from kubeshark.pipeline.intake._folder import FolderImport
from tests.pipeline.intake.test_capture import record

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
def following(store: Store, place: Path) -> Iterator[list[ImportResult]]:
    job = FolderImport(store, [str(store.identities[0].recipient)], place)
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
    ends = time.monotonic() + 60
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
    with following(store, folder) as results:
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
    with following(store, folder) as results:
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
    with following(store, folder):
        until(lambda: stored(store) == 12)


def test_a_file_that_is_written_over_is_another(store: Store, folder: Path) -> None:
    make(folder / "ring.pcap", 0, 10)
    with following(store, folder):
        until(lambda: stored(store) == 10)
        make(folder / "ring.pcap", 100, 3)
        make(folder / "next.pcap", 200, 3)
        until(lambda: stored(store) == 16)


def test_what_is_written_is_there_while_its_file_goes_on(store: Store, folder: Path) -> None:
    make(folder / "1.pcap", 0, 10)
    with following(store, folder):
        until(lambda: stored(store) == 10)
        append(folder / "1.pcap", record(10) + record(11)[:20])
        until(lambda: stored(store) == 11)
        append(folder / "1.pcap", record(11)[20:])
        until(lambda: stored(store) == 12)
        assert [store.is_open(info.name) for info in store.segments()] == [True]
    (info,) = store.segments()
    assert (info.packets, info.source.complete, store.is_open(info.name)) == (12, False, False)


def test_a_file_is_followed_through_its_rotation(store: Store, folder: Path) -> None:
    growing = folder / "x.pcap"
    make(growing, 0, 10)
    make(folder / "other.pcap", 900, 10)
    with following(store, growing) as results:
        until(lambda: stored(store) == 10)
        growing.rename(folder / "x.pcap.1")
        append(folder / "x.pcap.1", record(10))  # whoever writes has it open
        until(lambda: stored(store) == 11)
        make(growing, 11, 5)
        until(lambda: stored(store) == 16)
        os.truncate(growing, 0)
        until(lambda: growing.stat().st_size == 0)
        make(growing, 16, 20)  # more than it was
        until(lambda: stored(store) == 36)
        make(folder / "x.pcap2", 36, 4)
        until(lambda: stored(store) == 40)
    assert (results[0].packets, results[0].problems) == (40, ())
    with following(store, growing) as results:
        append(folder / "x.pcap2", record(40))
        until(lambda: stored(store) == 41)
    assert (results[0].packets, results[0].skipped) == (1, 35)  # five are written over


def test_files_that_grow_at_once_have_their_turns(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folder, "TURN_S", 0.3)
    make(folder / "a.pcap", 0, 10)
    make(folder / "b.pcap", 100, 10)
    (folder / "log.txt").write_text("a log of something else beside them\n")
    with following(store, folder) as results:
        for number in range(10, 15):
            append(folder / "a.pcap", record(number))
            append(folder / "b.pcap", record(100 + number))
            append(folder / "log.txt", b"more of it\n")
            until(lambda wanted=2 * number + 2: stored(store) == wanted)  # type: ignore[misc]
    assert results[0].packets == 30
    (problem,) = results[0].problems
    assert "log.txt" in problem


def test_a_late_packet_of_an_older_file_is_found_after_a_restart(store: Store, folder: Path) -> None:
    make(folder / "1.pcap", 0, 10)
    make(folder / "2.pcap", 10, 10)
    later = time.time() - 3600
    os.utime(folder / "1.pcap", (later, later))
    with following(store, folder):
        until(lambda: stored(store) == 20)
    append(folder / "1.pcap", record(50))
    os.utime(folder / "1.pcap", (later, later))  # so that 2.pcap stays the newest
    with following(store, folder) as results:
        until(lambda: stored(store) == 21)
    assert results[0].packets == 1


def test_what_a_killed_follower_left_is_gone_on_with(store: Store, folder: Path, tmp_path: Path) -> None:
    make(folder / "1.pcap", 0, 100)
    child = os.fork()
    if not child:
        os.setsid()
        FolderImport(store, [str(store.identities[0].recipient)], folder).run()
        os._exit(0)
    try:
        until(lambda: stored(store) == 100)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert [store.is_open(info.name) for info in store.segments()] == [True]
    append(folder / "1.pcap", record(100))
    with following(store, folder) as results:
        until(lambda: stored(store) == 101)
    assert (results[0].packets, results[0].skipped) == (1, 100)


def test_what_is_no_capture_is_said_once_and_the_rest_goes_on(store: Store, folder: Path) -> None:
    (folder / "notes.txt").write_text("these are notes, not packets at all")
    make(folder / "1.pcap", 0, 10)
    with following(store, folder) as results:
        make(folder / "2.pcap", 10, 1)
        until(lambda: stored(store) == 11)
    (problem,) = results[0].problems
    assert "notes.txt: is neither pcap nor pcapng" in problem
    with pytest.raises(InputError, match="no such folder or file"):
        FolderImport(store, [], folder / "9.pcap")
