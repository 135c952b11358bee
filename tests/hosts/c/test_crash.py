"""What a crashed plugin left is only looked up, whatever it is; tests/hosts/test_faults.py crashes real ones."""

from __future__ import annotations

import json
import shutil
import signal
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.hosts._artefact import TARGETS, this_target
from kubeshark.hosts.c._crash import RECORD_BYTES, where_it_crashed

TABLE = {
    "starts": [16, 32, 48, 64],
    "indices": [0, 1, 2, 3],
    "calls": [[["parse", "p.c", 3], ["dissect", "p.c", 9]], [["dissect", "p.c", 12]], [], [["a\n\x1b" * 99, "p.c", 1]]],
}


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copy(root / "tests" / "hosts" / "faulty" / "c" / "plugin.toml", folder)
    (folder / "build").mkdir()
    head = struct.pack("<4sBB10xHH", b"\x7fELF", 2, 1, 3, TARGETS[this_target()])
    (folder / "build" / "faulty.so").write_bytes(head)  # all that is looked at of the object
    (folder / "build" / "faulty.so.lines.json").write_text(json.dumps(TABLE))
    return folder


def record(
    *addresses: int, number: int = signal.SIGSEGV, count: int | None = None, magic: bytes = b"KSCRASH1"
) -> memoryview:
    head = struct.pack("<8sII", magic, number, len(addresses) if count is None else count)
    return memoryview((head + struct.pack(f"<{len(addresses)}Q", *addresses)).ljust(RECORD_BYTES, b"\0"))


def test_names(folder: Path) -> None:
    def where(result: memoryview) -> str:
        return where_it_crashed(folder, result, signal.SIGSEGV)

    assert where(record(17)) == " in parse (p.c:3), called from dissect (p.c:9)"
    assert where(record(50, 40, 17)) == " in dissect (p.c:12), called from parse (p.c:3), dissect (p.c:9)"
    assert where(record(40, 40, 40)) == " in dissect (p.c:12)"
    assert where(record(64)).startswith(" in a??a??")
    assert len(where(record(64))) < 120
    for nothing in (record(50), record(1), record(), record(17, count=33), record(17, number=6), record(17, magic=b"")):
        assert where(nothing) == ""


@given(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES) | st.lists(st.integers(0, 2**64 - 1), max_size=32))
def test_any_bytes(folder: Path, left: bytes | list[int]) -> None:
    result = memoryview(left) if isinstance(left, bytes) else record(*left)
    assert len(where_it_crashed(folder, result, signal.SIGSEGV)) < 800


def test_a_plugin_without_a_table(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json"))
    assert where_it_crashed(tmp_path, record(17), signal.SIGSEGV) == ""
    assert where_it_crashed(tmp_path / "gone", record(17), signal.SIGSEGV) == ""
