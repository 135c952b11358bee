"""Only a store's own files, and nothing that lies elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubeshark.errors import StoreError
from kubeshark.worker._files import Files

SEGMENT = "20260314T220000Z-node-1-0001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("no")
    folder = tmp_path / "store"
    folder.mkdir()
    for name in (f"{SEGMENT}.pcap.zst.age", f"{SEGMENT}.idx.age", "store.json", "catalogue.age"):
        (folder / name).write_bytes(name.encode())
    for name in (".lock", ".tmp-x", "notes.txt", "identity.age"):
        (folder / name).write_text("not yours")
    (folder / "20260314T220000Z-node-1-0002.idx.age").symlink_to(tmp_path / "secret")
    (folder / "20260314T220000Z-node-1-0003.idx.age").mkdir()
    os.mkfifo(folder / "20260314T220000Z-node-1-0004.idx.age")
    return folder


def test_only_plain_files_of_a_store_are_listed(folder: Path) -> None:
    assert [(each.name, each.size) for each in Files(folder).list()] == [
        (f"{SEGMENT}.idx.age", 36),
        (f"{SEGMENT}.pcap.zst.age", 41),
        ("catalogue.age", 13),
        ("store.json", 10),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "notes.txt",
        ".lock",
        "identity.age",
        "store.json\0",
        f"../store/{SEGMENT}.idx.age",
        f"{SEGMENT}.idx.age/",
        f"{SEGMENT}.idx.age\n",
        *(f"20260314T220000Z-node-1-000{number}.idx.age" for number in (2, 3, 4)),
    ],
)
def test_nothing_else_is_opened(folder: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        Files(folder).open(name)


def test_a_replaced_file_has_another_version_and_an_open_one_stays(folder: Path) -> None:
    files = Files(folder)
    with files.open("store.json") as held:
        (folder / "new").write_bytes(b"another")
        (folder / "new").replace(folder / "store.json")
        assert held.read(100, 0) == b"store.json"
        with files.open("store.json") as other:
            assert (other.read(4, 1), other.size) == (b"noth", 7)
            assert other.etag != held.etag
            assert other.etag == next(each.etag for each in files.list() if each.name == "store.json")


def test_space_and_a_folder_that_is_not_there(folder: Path) -> None:
    total, free = Files(folder).space()
    assert 0 < free <= total
    with pytest.raises(StoreError, match="cannot open the store"):
        Files(folder / "nothing")
