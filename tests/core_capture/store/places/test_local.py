"""A folder as a store's backend: what `_backend.py` promises."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kubeshark.core_capture.store.places._local import LocalBackend, open_folder
from kubeshark.errors import Damaged, StoreError


def test_a_file_is_made_and_published(tmp_path: Path) -> None:
    files = LocalBackend(tmp_path)
    with files.create(".tmp-a") as out:
        out.write(b"0123456789")
    assert (tmp_path / ".tmp-a").stat().st_mode & 0o777 == 0o600
    files.publish(".tmp-a", "a")
    files.settle()
    assert files.names() == ["a"]
    assert files.sizes() == {"a": 10}
    assert (files.exists("a"), files.exists(".tmp-a"), files.size("a")) == (True, False, 10)
    with closing(files.open("a")) as file:
        assert (file.name, file.size(), file.pread(3, 8)) == ("a", 10, b"89")
        assert file.preads([(2, 0), (3, 4)]) == [b"01", b"456"]
    files.delete("a")
    files.delete("a")
    with pytest.raises(FileNotFoundError):
        files.open("a")
    with pytest.raises(FileNotFoundError):
        files.publish(".tmp-a", "a")


def test_what_fails_on_the_way_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = LocalBackend(tmp_path)
    files.replace("state", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace("state", b"new")
    assert files.read("state", 100).data == b"old"


def test_what_cannot_be_opened_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        open_folder(tmp_path / "none", create=False)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="nothing in that folder is of one"):
        open_folder(tmp_path, create=False)
    with pytest.raises(StoreError, match="cannot open the store"):
        open_folder(tmp_path / "file" / "store", create=True)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_damage_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Opening a pipe that nobody writes into would never end."""
    make(tmp_path / "it")
    files = LocalBackend(tmp_path)
    for reading in (lambda: files.open("it"), lambda: files.read("it", 10)):
        with pytest.raises(Damaged, match="it: damaged: it is no file: take it away"):
            reading()


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    assert open_folder(tmp_path, create=False).names() == []


@pytest.mark.parametrize("name", ["store.json", ".lock", ".tmp-1", "20260101T000000Z-a-0001.idx.age", "ledger.json"])
def test_anything_of_a_store_makes_it_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert open_folder(tmp_path, create=False).names() == [name]


def test_what_lies_inside(tmp_path: Path) -> None:
    files = open_folder(tmp_path / "store", create=True)
    assert files.contains(tmp_path / "store" / "x" / "..")
    assert not files.contains(tmp_path / "other")
