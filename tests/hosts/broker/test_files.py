"""Files below a granted folder, and every way out of it that we could think of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kubeshark.hosts.broker import _files
from kubeshark.hosts.broker._files import FileError, Folder, MissingError, Row

SECRET = "not for plugins"


@pytest.fixture(params=["openat2", "walk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    if request.param == "walk":
        monkeypatch.setattr(_files, "_open_beneath", lambda root, parts, flags: _files._walk(root, parts, flags, 0o600))
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "granted").mkdir()
    opened = Folder(tmp_path / "granted", writable=True)
    yield opened
    opened.close()
    opened.close()
    assert (tmp_path / "secret").read_text() == SECRET
    assert not (tmp_path / "escaped").exists()


def test_what_is_granted_works(folder: Folder) -> None:
    folder.make_folder("a/b")
    folder.make_folder("a/b")
    folder.write("a/b/f.txt", b"one")
    folder.write("a/b/f.txt", b"1")
    folder.write("a/b/f.txt", b"2", append=True)
    folder.write("new.txt", b"x", append=True)
    assert folder.read("a/b/f.txt", 100) == b"12"
    assert folder.list("") == [Row("a", "folder", 0), Row("new.txt", "file", 1)]
    assert folder.list("a/b") == [Row("f.txt", "file", 2)]
    folder.move("a/b/f.txt", "a/g.txt")
    assert folder.read("a/g.txt", 2) == b"12"
    folder.delete("a")
    assert [row.name for row in folder.list("")] == ["new.txt"]
    assert (folder.path / "new.txt").stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_says_so(folder: Folder) -> None:
    calls: list[Callable[[], object]] = [
        lambda: folder.read("x", 1),
        lambda: folder.list("x"),
        lambda: folder.delete("x"),
        lambda: folder.move("x", "y"),
        lambda: folder.write("x/y", b""),
    ]
    for call in calls:
        with pytest.raises(MissingError, match="there is no such file or folder"):
            call()
    folder.write("file", b"12345")
    with pytest.raises(FileError, match=r"file: has 5 bytes, at most 4 are read"):
        folder.read("file", 4)
    with pytest.raises(FileError, match="Not a directory"):
        folder.list("file")
    with pytest.raises(FileError, match=r"is a folder|Is a directory"):
        folder.write("", b"")
    for call in (lambda: folder.delete(""), lambda: folder.move("", "x")):
        with pytest.raises(FileError, match="stays where it is"):
            call()


WAYS_OUT = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "./../secret",
    "..",
    ".",
    "link",
    "folder-link/secret",
    "folder-link",
    "magic",
    "x\0y",
    "a/" * 40,
    "fifo",
]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_no_path_leads_out(folder: Folder, path: str) -> None:
    (folder.path / "link").symlink_to("../secret")
    (folder.path / "folder-link").symlink_to("..")
    (folder.path / "magic").symlink_to("/proc/self/root")
    (folder.path / "a").mkdir()
    os.mkfifo(folder.path / "fifo")
    calls: list[Callable[[], object]] = [
        lambda: folder.read(path, 1000),
        lambda: folder.write(path, b"overwritten"),
        lambda: folder.write(path, b"overwritten", append=True),
        lambda: folder.make_folder(f"{path}/escaped"),
        lambda: folder.write(f"{path}/escaped", b"x"),
    ]
    for call in calls:
        with pytest.raises(FileError):
            call()
    for call in (lambda: folder.list(path), lambda: folder.move("a", f"{path}/escaped")):
        with pytest.raises(FileError):
            call()


def test_deleting_a_link_leaves_what_it_points_to(folder: Folder) -> None:
    (folder.path / "tree").mkdir()
    (folder.path / "tree" / "link").symlink_to("../..")
    folder.delete("tree")
    assert not (folder.path / "tree").exists()
    assert (folder.path.parent / "secret").exists()


_SWAP = """
import os
print(flush=True)
while True:
    os.rename("inside", "aside")
    os.symlink("..", "inside")
    os.unlink("inside")
    os.rename("aside", "inside")
"""


def test_a_race_with_links_never_leads_out(folder: Folder) -> None:
    """Another process swaps a folder for a link, again and again: a thread would wait for ours at every call."""
    inside = folder.path / "inside"
    inside.mkdir()
    (inside / "secret").write_text("harmless")
    seen: Counter[str] = Counter()

    def turn() -> None:
        try:
            seen[folder.read("inside/secret", 100).decode()] += 1
        except FileError as error:
            seen[str(error)] += 1
        with suppress(FileError):
            folder.write("inside/escaped", b"")

    command = [sys.executable, "-c", _SWAP]
    with subprocess.Popen(command, cwd=folder.path, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout
        try:
            swapper.stdout.readline()  # it swaps from now on
            deadline = time.monotonic() + 30
            while (seen.total() < 2000 or len(seen) < 3 or "harmless" not in seen) and time.monotonic() < deadline:
                turn()
        finally:
            swapper.kill()
    link = {"inside/secret: leads through a link", "inside/secret: Not a directory"}  # openat2, walk
    assert set(seen) - link == {"harmless", "inside/secret: there is no such file or folder"}
    assert set(seen) & link


def test_read_only_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    folder = Folder(tmp_path, writable=False)
    assert folder.read("f", 1) == b"1"
    calls: list[Callable[[], object]] = [
        lambda: folder.write("f", b""),
        lambda: folder.delete("f"),
        lambda: folder.make_folder("x"),
        lambda: folder.move("f", "g"),
    ]
    for call in calls:
        with pytest.raises(FileError, match="granted for reading only"):
            call()
    folder.close()
    with pytest.raises(FileError, match="closed"):
        folder.read("f", 1)
    with pytest.raises(FileError, match="No such file"):
        Folder(tmp_path / "missing", writable=True)


def test_quotas_hold(tmp_path: Path) -> None:
    folder = Folder(tmp_path, writable=True, quota_bytes=100, quota_files=3)
    folder.write("a", b"x" * 60)
    folder.write("a", b"x" * 100)
    with pytest.raises(FileError, match="over the quota"):
        folder.write("b", b"x")
    with pytest.raises(FileError, match="over the quota"):
        folder.write("a", b"x", append=True)
    folder.write("a", b"x" * 10)
    folder.write("b", b"x" * 90)
    folder.write("c", b"")
    with pytest.raises(FileError, match="quota of 3 files"):
        folder.make_folder("d")
    folder.delete("b")
    folder.write("d", b"x" * 90)
    folder.close()


def test_a_folder_of_its_own_counts_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "f").write_bytes(b"x" * 95)
    folder = Folder(tmp_path, writable=True, quota_bytes=100, counts_all=True)
    folder.write("new", b"x" * 5)
    with pytest.raises(FileError, match="over the quota"):
        folder.write("new", b"x" * 6)
    folder.close()


def test_a_full_disk_is_a_failure_of_one_line() -> None:
    full = Folder(Path("/dev"), writable=True)
    with pytest.raises(FileError, match="no regular file"):
        full.write("full", b"x")
    full.close()
