"""A file that grows, is written over, or is over."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from kubeshark.core_capture.live import FileState, GrowingFile

HEAD = bytes(range(256))


def test_it_is_read_as_it_grows_until_somebody_says_that_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    asked: list[int] = []

    def is_over() -> bool:
        asked.append(1)
        if len(asked) == 1:
            path.write_bytes(b"one, two")
        return len(asked) == 2

    with GrowingFile(path, is_over) as file:
        assert [file.read1(100), file.read1(100), file.read1(100)] == [b"one", b", two", b""]
        assert (file.position, file.begins_anew) == (8, False)
        assert file.state == FileState.of(path.stat())


@pytest.mark.parametrize("anew", [b"", b"short", b"x" * 1000], ids=["emptied", "shorter", "longer"])
def test_one_that_is_written_over_ends(tmp_path: Path, anew: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(HEAD * 2)
    with GrowingFile(path, lambda: False) as file:
        assert file.read1(256) == HEAD
        path.write_bytes(anew)  # the same file
        assert file.read1(256) == b""
        assert file.begins_anew


def test_nothing_is_given_out_that_was_read_behind_another_beginning(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    ends = threading.Event()

    def write() -> None:
        for number in range(200):
            with path.open("r+b") as out:
                out.truncate(0)
                out.write(number.to_bytes(4, "big") * 5000)
            time.sleep(0.001)
        ends.set()

    writing = threading.Thread(target=write)
    writing.start()
    seen = 0
    while not ends.is_set() or not seen:
        with GrowingFile(path, ends.is_set) as file:
            pieces = b"".join(iter(lambda: file.read1(1000), b""))
        assert len({pieces[at : at + 4] for at in range(0, len(pieces) - 3, 4)}) <= 1
        seen += bool(pieces)
    writing.join()


def test_closing_twice(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    file = GrowingFile(tmp_path / "x", lambda: True)
    file.close()
    file.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(file._descriptor if file._descriptor >= 0 else 999)


def test_what_was_read_before_it_was_written_over_is_not_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "x", os.read
    path.write_bytes(b"old " * 4)

    def read_late(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        path.write_bytes(b"new " * 8)  # before its beginning is looked at
        return data

    with GrowingFile(path, lambda: True) as file:
        with monkeypatch.context() as patched:
            patched.setattr(os, "read", read_late)
            assert file.read1(100) == b""
        assert file.begins_anew
