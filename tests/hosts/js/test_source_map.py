"""Source maps: places that esbuild wrote come back, and hostile ones map nothing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.hosts.js._source_map import SourceMap


def a_map(mappings: str, sources: list[str] | None = None) -> bytes:
    return json.dumps({"version": 3, "sources": sources or ["../src/a.ts", "../b.ts"], "mappings": mappings}).encode()


def encode(*numbers: int) -> str:
    """ECMA-426's VLQ, written the other way round from what is tested."""
    text = ""
    for number in numbers:
        left = abs(number) << 1 | (number < 0)
        while True:
            left, digit = left >> 5, left & 31
            text += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[digit | (32 if left else 0)]
            if not left:
                break
    return text


def test_lines_columns_and_files() -> None:
    # line 1 is the bundler's own; line 2 has two places of a.ts; line 3 one of b.ts, behind one of nowhere
    text = f";{encode(2, 0, 4, 6)},{encode(10, 0, 1, -3)};{encode(0)},{encode(4, 1, -5, 0, 7)}"
    source_map = SourceMap(a_map(text), "build")
    assert source_map.original(1, 1) is None
    assert source_map.original(2, 1) == ("src/a.ts", 5, 7)  # before the first place: the line's first
    assert source_map.original(2, 3) == ("src/a.ts", 5, 7)
    assert source_map.original(2, 12) == ("src/a.ts", 5, 7)
    assert source_map.original(2, 13) == ("src/a.ts", 6, 4)
    assert source_map.original(3, 9) == ("b.ts", 1, 4)
    assert source_map.original(4, 1) is None
    assert source_map.original(0, 1) is None
    assert SourceMap(b"").original(1, 1) is None


@given(st.binary(max_size=200) | st.text(max_size=100).map(a_map), st.integers(-1, 5), st.integers(-1, 99))
def test_any_bytes(data: bytes, line: int, column: int) -> None:
    found = SourceMap(data, "build").original(line, column)
    assert found is None or (found[1] > 0 and found[2] > 0)


def test_hostile_numbers() -> None:
    for numbers in ((0, 9, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, -7), (0, 0), (0, 0, 1 << 31, 0)):
        assert SourceMap(a_map(encode(*numbers))).original(1, 1) is None
    assert SourceMap(a_map("g" * 1000)).original(1, 1) is None  # a number that never ends
    assert SourceMap(a_map("é")).original(1, 1) is None
    assert SourceMap(a_map("AAAA", ["x" * 5000])).original(1, 1) == ("x" * 200, 1, 1)
    assert SourceMap(b"[" * 100_000).original(1, 1) is None
