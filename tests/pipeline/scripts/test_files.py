from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from kubeshark.hosts.broker import FileError
from kubeshark.pipeline.scripts._files import KEPT_S, ScriptFiles


@pytest.fixture
def files(tmp_path: Path) -> ScriptFiles:
    return ScriptFiles(tmp_path / "s", lambda streams: f"pcap of {','.join(streams)}".encode(), now=lambda: 1000.0)


def test_write_append_move_copy_delete(files: ScriptFiles) -> None:
    files.mkdir("a/b")
    files.mkdir("a/b")
    files.write("a/x.txt", "one")
    files.append("a/x.txt", " two")
    files.copy("a/x.txt", "a/b/")
    files.move("a/x.txt", "y.txt")
    assert (files.root / "a/b/x.txt").read_text() == (files.root / "y.txt").read_text() == "one two"
    files.delete("a")
    assert [path.name for path in files.root.iterdir()] == ["y.txt"]


def test_what_is_missing_throws(files: ScriptFiles) -> None:
    for act in (
        lambda: files.write("none/x", ""),
        lambda: files.move("none", "x"),
        lambda: files.copy("none", "x"),
        lambda: files.delete("none"),
        lambda: files.tar("none"),
    ):
        with pytest.raises(FileError):
            act()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\x", "\0", ""])
def test_nothing_leaves_the_folder(files: ScriptFiles, path: str) -> None:
    with pytest.raises((FileError, ValueError)):
        files.write(path, "x")


def test_links_are_not_followed(files: ScriptFiles, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (files.root / "link").symlink_to(tmp_path / "secret")
    (files.root / "folder").symlink_to(tmp_path)
    for act in (lambda: files.write("link", "x"), lambda: files.copy("link", "y"), lambda: files.write("folder/x", "")):
        with pytest.raises(FileError):
            act()
    assert (tmp_path / "secret").read_text() == "s" and not (tmp_path / "x").exists()


def test_a_promised_pcap_is_written_when_it_is_needed(files: ScriptFiles) -> None:
    path = files.promise("s1.pcap", ["s1"])
    assert files.exists(path) and not list(files.root.iterdir())
    files.mkdir("out")
    files.copy(path, "out")
    assert (files.root / "out/s1.pcap").read_bytes() == b"pcap of s1"
    files.promise("out/s2.pcap", ["s2", "s3"])
    archive = files.tar("out")
    assert archive == "kubeshark_1000.tar.gz"
    with tarfile.open(files.root / archive) as packed:
        assert sorted(packed.getnames()) == ["s1.pcap", "s2.pcap"]
    assert files.stamped("kubeshark_", ".tar.gz") == "kubeshark_1000_1.tar.gz"


def test_temporary_names_are_new(files: ScriptFiles) -> None:
    files.mkdir("d")
    assert files.temp("n", "d", "log") != files.temp("n", "d", "log")
    assert files.mkdir_temp("n").startswith("n")
    assert all(path.name.endswith(".log") for path in (files.root / "d").iterdir())


def test_files_of_yesterday_are_gone(tmp_path: Path) -> None:
    root = tmp_path / "s"
    (root / "a").mkdir(parents=True)
    for name in ("a/old", "new"):
        (root / name).write_text("x")
    for place in (root / "a/old", root / "a"):
        os.utime(place, (0, 0))
    os.utime(root / "new", (KEPT_S, KEPT_S))
    ScriptFiles(root, lambda _: b"", now=lambda: KEPT_S + 1.0).close()
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["new"]
