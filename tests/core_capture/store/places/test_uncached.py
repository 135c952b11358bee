"""Files past the cache: the same bytes whatever way they take, and a full disk is said."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from kubeshark.core_capture.store.places import _uncached
from kubeshark.core_capture.store.places._uncached import UncachedFile, lend_memory

MEMORY = lend_memory()
UNIT = _uncached._BYTES


def written(path: Path, data: bytes, step: int = 1 << 19) -> None:
    with path.open("wb") as out:
        file = UncachedFile(out, MEMORY)
        with memoryview(data) as view:
            for at in range(0, len(data), step):
                file.write(view[at : at + step])
        file.finish()


@pytest.mark.parametrize("size", [0, 1, UNIT - 1, UNIT, UNIT + 1, 3 * UNIT + 4097])
@pytest.mark.parametrize("step", [65_552, 1 << 19, 5 * UNIT])
def test_what_is_written_is_there(tmp_path: Path, size: int, step: int) -> None:
    data = os.urandom(size)
    written(tmp_path / "file", data, step)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("asked", [65_552, 8 * 65_552, 3 * UNIT])
def test_what_was_put_where_it_lends_is_not_copied(tmp_path: Path, asked: int) -> None:
    data = os.urandom(3 * UNIT + 4097)
    with (tmp_path / "file").open("wb") as out:
        file, at = UncachedFile(out, MEMORY), 0
        file.write(memoryview(data)[:200])
        at = 200
        while at < len(data):
            lent = file.lend(asked)
            assert len(lent) >= min(asked, 128 << 10)
            taken = min(len(lent), len(data) - at)
            lent[:taken] = data[at : at + taken]
            file.write(lent[:taken])
            file.write(memoryview(data)[at + taken : at + taken + 5])
            at += taken + 5
        file.finish()
    assert (tmp_path / "file").read_bytes() == data


def test_of_what_was_lent_only_the_next_write_is_in_place(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as out:
        file = UncachedFile(out, MEMORY)
        lent = file.lend(4)
        lent[:] = b"late"
        file.write(memoryview(b"first "))  # lies where `lent` was
        file.write(lent)
        file.finish()
    assert (tmp_path / "file").read_bytes() == b"first firs"


def test_whole_units_pass_by_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[tuple[int, bool]]()
    write = os.write

    def watched(number: int, data: memoryview) -> int:
        seen.append((len(data), bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_DIRECT)))
        return write(number, data)

    monkeypatch.setattr(os, "write", watched)
    written(tmp_path / "file", bytes(2 * UNIT + 1))
    with (tmp_path / "file").open("rb") as file:
        can = _can_be_direct(file.fileno())
    assert seen == ([(UNIT, True)] * 2 if can else [])


def test_a_file_system_that_refuses_when_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_number: int, _data: memoryview) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "write", refuses)
    data = os.urandom(2 * UNIT + 5)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_one_that_takes_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:8192]))
    data = os.urandom(3 * UNIT)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_full_disk_is_said() -> None:
    with pytest.raises(OSError, match="No space left"):
        written(Path("/dev/full"), bytes(UNIT + 1))


def _can_be_direct(number: int) -> bool:
    try:
        fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError:
        return False
    return True
