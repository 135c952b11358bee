"""`.ksp`: the same bytes everywhere, readable by everything, and nothing but what we write is read."""

from __future__ import annotations

import shutil
import stat
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import PluginRejected
from kubeshark.packages import _archive
from kubeshark.packages._archive import is_package, pack, unpack
from kubeshark.packages._contents import content_digest, folder_files, hash_file
from tests.packages._plugins import make_folder, make_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path)


def target(place: Path) -> Path:
    folder = place / "target"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = make_package(tmp_path)
    again = tmp_path / "other" / "place"
    again.mkdir(parents=True)
    shutil.copytree(tmp_path / "demo-1.0.0", again / "demo")
    (again / "demo" / "plugin.js").chmod(0o755)
    pack(again / "demo", again / "x.ksp", "demo")
    assert (again / "x.ksp").read_bytes() == first.read_bytes()


def test_unpacking_gives_what_was_packed(package: Path, tmp_path: Path) -> None:
    folder = target(tmp_path)
    files = unpack(package, folder)
    assert files == {
        name: hash_file(tmp_path / "demo-1.0.0" / name) for name in ("lib/help.js", "plugin.js", "plugin.toml")
    }
    assert content_digest(files) == pack(folder, tmp_path / "again.ksp", "demo")
    assert (tmp_path / "again.ksp").read_bytes() == package.read_bytes()
    assert is_package(package)


def test_other_programs_read_it(package: Path, tmp_path: Path) -> None:
    folder = target(tmp_path)
    with zipfile.ZipFile(package) as opened:
        assert opened.testzip() is None
        opened.extractall(folder)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == 3


def test_no_byte_can_be_changed(package: Path, tmp_path: Path) -> None:
    """Every byte of a package is checked: names, sizes, flags, directory, contents, end."""
    data = package.read_bytes()
    hostile = tmp_path / "hostile.ksp"
    for at in range(len(data)):
        hostile.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        with hostile.open("rb") as file, pytest.raises(PluginRejected):
            _archive._read(file, None, "demo")


def test_no_byte_can_be_missing_or_follow(package: Path, tmp_path: Path) -> None:
    data = package.read_bytes()
    hostile = tmp_path / "hostile.ksp"
    for cut in (*range(0, len(data), 7), len(data) - 1):
        hostile.write_bytes(data[:cut])
        with pytest.raises(PluginRejected, match="not a package"):
            unpack(hostile, target(tmp_path))
    for more, reason in ((b"\0", "data after its end"), (data, "data after its end"), (b"PK\5\6" + bytes(18), "after")):
        hostile.write_bytes(data + more)
        with pytest.raises(PluginRejected, match=reason):
            unpack(hostile, target(tmp_path))
    hostile.write_bytes(b"#!/bin/sh\n" + data)
    with pytest.raises(PluginRejected, match="does not begin with a file"):
        unpack(hostile, target(tmp_path))


def by_zipfile(write: Callable[[zipfile.ZipFile], None], path: Path) -> None:
    """Make an archive as somebody else would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicate names, which are the point
        with zipfile.ZipFile(path, "w") as opened:
            write(opened)


def member(name: str, **attributes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def linked(opened: zipfile.ZipFile) -> None:
    opened.writestr(member("SHA256SUMS"), "")
    opened.writestr(member("a", external_attr=(stat.S_IFLNK | 0o777) << 16), "/etc/passwd")


def bomb(opened: zipfile.ZipFile) -> None:
    opened.writestr(member("SHA256SUMS"), "")
    opened.writestr(member("bomb"), bytes(50 << 20), zipfile.ZIP_DEFLATED)


def folders(opened: zipfile.ZipFile) -> None:
    opened.writestr(member("SHA256SUMS"), "")
    opened.mkdir("lib")


def with_comment(opened: zipfile.ZipFile) -> None:
    opened.writestr(member("plugin.toml"), "")
    opened.comment = b"hello"


@pytest.mark.parametrize("write", [linked, bomb, folders, with_comment])
def test_archives_of_other_programs(write: Callable[[zipfile.ZipFile], None], tmp_path: Path) -> None:
    by_zipfile(write, tmp_path / "hostile.ksp")
    folder = target(tmp_path)
    with pytest.raises(PluginRejected, match="not a package"):
        unpack(tmp_path / "hostile.ksp", folder)
    assert list(folder.iterdir()) == []


class Forger:
    """Writes archives in our form, with the lies of a test: everything else about them is right."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[tuple[str, bytes]] = []

    def write(self, *, sums: bytes | None = None, mode: int = _archive._MODE, **header: int) -> Path:
        import hashlib
        import zlib

        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.files}
        first = _archive._sums(hashes) if sums is None else sums
        out, central = bytearray(), bytearray()
        fields = ("version", "flags", "method", "time", "date", "crc", "stored", "size", "name", "extra")
        for at, (name, data) in enumerate([("SHA256SUMS", first), *self.files]):
            crc = zlib.crc32(data)
            local = bytearray(_archive._local(name, crc, len(data)))
            if header and at == 1:
                values = list(_archive._LOCAL.unpack_from(local))
                for key, value in header.items():
                    values[1 + fields.index(key)] = value
                _archive._LOCAL.pack_into(local, 0, *values)
            entry = bytearray(_archive._directory(name, crc, len(data), len(out)))
            if at == 1:
                values = list(_archive._CENTRAL.unpack_from(entry))
                values[15] = mode
                _archive._CENTRAL.pack_into(entry, 0, *values)
            central += entry
            out += local + data
        end = _archive._end(len(self.files) + 1, len(central), len(out))
        self.path.write_bytes(out + central + end)
        return self.path


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    forger = Forger(tmp_path / "forged.ksp")
    forger.files = [("a.js", b"1"), ("plugin.toml", b"2")]
    return forger


def test_the_forger_can_tell_the_truth(forger: Forger, tmp_path: Path) -> None:
    assert set(unpack(forger.write(), target(tmp_path))) == {"a.js", "plugin.toml"}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([("../a", b"")], "leaves the plugin's folder"),
        ([("/a", b"")], "leaves the plugin's folder"),
        ([("a\0b", b"")], "has a character"),
        ([("a\\..\\b", b"")], "has a character"),
        ([("a", b"1"), ("a", b"2")], "is there twice"),
        ([("A", b"1"), ("a", b"2")], "in case only"),
        ([("a", b"1"), ("a/b", b"2")], "a file and a folder"),
        ([("b", b"1"), ("a", b"2")], "is out of order"),
        ([("a/", b"")], "is a folder"),
        ([("SHA256SUMS", b"")], "the first member, and no other, is SHA256SUMS"),
        ([(f"{at:05}", b"") for at in range(2001)], "more than 2,000 files"),
    ],
)
def test_forged_names(files: list[tuple[str, bytes]], reason: str, forger: Forger, tmp_path: Path) -> None:
    forger.files = files
    with pytest.raises(PluginRejected, match=reason):
        unpack(forger.write(), target(tmp_path))
    assert not (tmp_path.parent / "a").exists()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"flags": 0x801}, "is encrypted"),
        ({"method": 8}, "is compressed"),
        ({"method": 99}, "is compressed"),
        ({"flags": 0x808}, "sizes of 'a.js' contradict"),
        ({"stored": 0}, "sizes of 'a.js' contradict"),
        ({"size": 0xFFFFFFFF}, "sizes of 'a.js' contradict"),
        ({"stored": 0xFFFFFFFF, "size": 0xFFFFFFFF}, "has more than 256 MiB"),
        ({"stored": 1 << 20, "size": 1 << 20}, "cut short"),
        ({"crc": 0}, "checksum of 'a.js' is wrong"),
        ({"extra": 1}, "not as a package has it"),
        ({"date": 0}, "not as a package has it"),
    ],
)
def test_forged_headers(header: dict[str, int], reason: str, forger: Forger, tmp_path: Path) -> None:
    with pytest.raises(PluginRejected, match=reason):
        unpack(forger.write(**header), target(tmp_path))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (stat.S_IFLNK, "is a link"),
        (stat.S_IFIFO, "is neither file nor folder"),
        (stat.S_IFCHR, "is neither file nor folder"),
        (stat.S_IFREG | stat.S_ISUID, "directory contradicts"),
    ],
)
def test_forged_kinds(kind: int, reason: str, forger: Forger, tmp_path: Path) -> None:
    with pytest.raises(PluginRejected, match=reason):
        unpack(forger.write(mode=(kind | 0o777) << 16 & 0xFFFFFFFF), target(tmp_path))


def test_hashes_that_do_not_fit(forger: Forger, tmp_path: Path) -> None:
    for sums in (b"", b"0" * 64 + b"  a.js\n", b"\xff" * 10):
        with pytest.raises(PluginRejected, match="SHA256SUMS does not fit"):
            unpack(forger.write(sums=sums), target(tmp_path))


def test_too_much(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "MAX_BYTES", 100)
    with pytest.raises(PluginRejected, match="has more than"):
        unpack(package, target(tmp_path))
    with pytest.raises(PluginRejected, match="has more than"):
        pack(tmp_path / "demo-1.0.0", tmp_path / "x.ksp", "demo")


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_are_refused_or_are_a_package(tail: bytes, keep: int) -> None:
    import io

    with pytest.raises(PluginRejected):
        _archive._read(io.BytesIO(_archive._local("SHA256SUMS", 0, 0)[:keep] + tail), None, "demo")


def test_names_in_every_language(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for name in ("größe.js", "データ.js", "a b.js"):
        (folder / "lib" / name).write_text(name)
    pack(folder, tmp_path / "x.ksp", "demo")
    assert len(unpack(tmp_path / "x.ksp", target(tmp_path))) == len(folder_files(folder, "demo")) == 6
    with zipfile.ZipFile(tmp_path / "x.ksp") as opened:
        assert opened.testzip() is None
