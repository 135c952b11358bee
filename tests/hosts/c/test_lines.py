"""The table of lines: every address of a plugin's code is the author's line, whatever the compiler put in line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.hosts.c._lines import LineTable, make_table, read_table

SOURCE = """\
#include <string.h>
#include "helper.h"
static int inner(const char *text) {
    return (int)strlen(text) + helper(text);
}
__attribute__((noinline)) static int middle(const char *text) {
    return inner(text) * 3;
}
__attribute__((visibility("default"))) int outer(const char *text) {
    return middle(text) + inner(text + 1);
}
"""
HELPER = "static inline int helper(const char *text) { return text[0] * 7 + text[1]; }\n"
COMPILERS = (["gcc"], ["clang"], [sys.executable, "-m", "ziglang", "cc"])


@pytest.fixture(params=COMPILERS[:2], ids=["gcc", "clang"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> LineTable:
    folder, headers = tmp_path / "plugin", tmp_path / "headers"
    folder.mkdir()
    headers.mkdir()
    (folder / "a.c").write_text(SOURCE)
    (headers / "helper.h").write_text(HELPER)
    names = [f"-ffile-prefix-map={folder}=.", f"-ffile-prefix-map={headers}=/sdk"]
    command = [
        *request.param,
        "-shared",
        "-fPIC",
        "-O2",
        "-g1",
        "-gdwarf-4",
        *names,
        f"-I{headers}",
        "-o",
        "a.so",
        "a.c",
    ]
    subprocess.run(command, cwd=folder, check=True)
    return make_table(folder / "a.so")


def test_calls_in_line_are_told_apart(table: LineTable) -> None:
    found = {tuple(call[0] for call in calls): calls for calls in table.calls}
    assert set(found) <= {(), ("middle",), ("outer",), ("inner", "middle"), ("inner", "outer")}
    assert found["inner", "middle"] == [("inner", "a.c", 4), ("middle", "a.c", 7)]  # also where helper.h is in line
    assert found["inner", "outer"] == [("inner", "a.c", 4), ("outer", "a.c", 10)]
    assert {line for calls in table.calls for _, _, line in calls} <= set(range(3, 12))


def test_only_the_authors_code_is_in_it(table: LineTable) -> None:
    assert table.starts == sorted(table.starts)
    assert table.at(0) == table.at(table.starts[-1] + 1) == table.at(1 << 64) == []
    assert {file for calls in table.calls for _, file, _ in calls} == {"a.c"}


def test_files_that_make_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert read_table(file) is None
    for text in (b"", b"[1]", b'{"starts": ["a"]}', b"\xff", b"[" * 100_000):
        file.write_bytes(text)
        assert read_table(file) is None
    file.write_bytes(b'{"starts": [5, 1], "indices": [7], "calls": []}')
    table = read_table(file)
    assert table is not None
    assert [table.at(address) for address in (0, 1, 5, 9)] == [[], [], [], []]
