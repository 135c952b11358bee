"""How entries are printed: what a terminal, a pipe and a program get."""

from __future__ import annotations

import argparse
import base64
import gc
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli.terminal._complain import printable
from kubeshark.cli.terminal._output import (
    FieldsLine,
    JsonLine,
    TableLine,
    _json,
    add_output_options,
    line_form,
    parse_fields,
    print_lines,
)
from kubeshark.errors import UsageError
from kubeshark.pipeline import Entry, Pipeline
from kubeshark.pipeline.reading._select import Selection
from kubeshark.pipeline.tables._table import Found
from tests.pipeline._stores import long_talk, make_store
from tests.pipeline._traffic import Capture, Connection, find

KNOWN = ("src.ip", "dst.ip", "method", "status_code", "timestamp")


def entries(path: bytes = b"/a", host: bytes = b"h") -> list[Entry]:
    capture = Capture()
    Connection(capture).open().ask(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").answer()
    Connection(capture, client_port=40_001).open().ask()
    return find(capture, "http")


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_output_options(parser)
    return parser.parse_args(arguments)


def printed(*arguments: str, found: list[Entry] | None = None, **more: Any) -> list[str]:
    args = options(*arguments)
    fields = args.fields.split(",") if args.fields else None
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        header, line = line_form(args, fields, **more)
        print_lines(header, map(line, entries() if found is None else found))
    return out.getvalue().splitlines()


def test_fields_are_variables() -> None:
    known = dict.fromkeys(KNOWN)
    assert parse_fields(None, known) is None
    assert parse_fields(" method, ,status_code,", known) == ["method", "status_code"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("metod", "did you mean 'method'"), ("zzz", "see"), ("", "names no variable"), (",", "names no")],
)
def test_unknown_fields_are_wrong_usage(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_fields(text, dict.fromkeys(KNOWN))


@pytest.mark.parametrize("text", ["-1", "x", "1.5", ""])
def test_limits_are_whole_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        options(f"--limit={text}")


def test_a_limit() -> None:
    assert options("--limit", "12").limit == 12


def test_the_table_has_a_line_an_entry() -> None:
    head, first, second = printed()
    assert head.split() == ["TIME", "PROTO", "METHOD", "STATUS", "SOURCE", "DESTINATION", "MS", "SUMMARY"]
    assert first.split() == ["22:13:20.002", "HTTP", "GET", "200", "10.0.0.1:40000", "10.0.0.2:80", "1.0", "/a"]
    assert "! the response was never seen" in second
    assert [head.index("SUMMARY")] == [first.index("/a")]


def test_json_lines_hold_whole_entries() -> None:
    found = entries()
    assert [json.loads(line) for line in printed("--output", "jsonl", found=found)] == [e.to_dict() for e in found]


def test_chosen_fields_are_json_for_a_pipe_and_columns_on_request() -> None:
    arguments = ("--fields", "method,status_code,timestamp")
    (first, _) = printed(*arguments)
    assert json.loads(first) == {"method": "GET", "status_code": 200, "timestamp": "2023-11-14T22:13:20.002000000Z"}
    assert printed(*arguments, "--output", "table")[:2] == [
        "method\tstatus_code\ttimestamp",
        "GET\t200\t2023-11-14T22:13:20.002000000Z",
    ]


def test_values_of_other_types_as_columns() -> None:
    _, line, _ = printed("--fields", "request.headers,http,path_segments", "--output", "table")
    assert line == '{"host": "h"}\ttrue\t["a"]'


def test_bytes_are_base64() -> None:
    capture = Capture()
    Connection(capture, 7000).open().ask(b"\xff\0")
    (line,) = printed("--fields", "tcp_payload", found=find(capture, "tcp"))
    assert base64.b64decode(json.loads(line)["tcp_payload"]) == b"\xff\0"


def test_the_file_is_told_where_there_are_several() -> None:
    (line, _) = printed("--fields", "method", with_file=True)
    assert json.loads(line) == {"file": "", "method": "GET"}
    assert "file" not in json.loads(printed("--output", "jsonl")[0])


def test_text_from_the_network_does_not_steer_the_terminal() -> None:
    hostile = entries(b"/\x1b[2J\x07", b"\x1b]0;title\x07")
    for arguments in ((), ("--fields", "path,url,request.headers", "--output", "table"), ("--output", "jsonl")):
        text = "\n".join(printed(*arguments, found=hostile))
        assert all(char.isprintable() or char in "\n\t" for char in text), arguments
    assert printable("a\x1b\u202e\x9bb\n") == "a\ufffd\ufffd\ufffdb\ufffd"


def test_a_narrow_terminal_cuts_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", out)
    header, line = line_form(argparse.Namespace(output=None), None)
    print_lines(header, map(line, entries()))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines[1:])) <= 40


def test_addresses_of_both_families() -> None:
    capture = Capture()
    Connection(capture, ends=("2001:db8::1", "2001:db8::2")).open().ask().answer()
    assert "[2001:db8::1]:40000" in printed(found=find(capture, "http"))[1]


@pytest.mark.parametrize("value", ["\ud800", 2**70, -(2**64), 1e300, 0.1, "\x7f\x00 é", [{"a": None}], True])
def test_whatever_an_entry_holds_is_a_line_of_json(value: object) -> None:
    line = _json({"value": value})
    assert json.loads(line) == {"value": value}
    assert "\n" not in line


def test_what_is_no_number_is_null() -> None:
    assert _json({"value": float("nan")}) == '{"value":null}'


def test_lines_by_columns_are_those_by_entries(tmp_path: Path) -> None:
    talk = long_talk(6)
    Connection(talk, client_port=41_000).open().ask()
    store = make_store(tmp_path / "store", talk, (17, 35))
    line = TableLine(200)
    with Pipeline.open(store) as pipeline:
        by_entries = [line(entry) for entry in pipeline.query("")]
        assert list(pipeline.map(line)) == by_entries
    assert any("!" in each for each in by_entries), "a half connection says what is wrong"
    assert any("/long/" in each for each in by_entries)


@pytest.mark.parametrize("line", [TableLine(200), FieldsLine(("url", "src.ip")), JsonLine(("url",))], ids=str)
def test_lines_by_columns_keep_no_packets(tmp_path: Path, line: Callable[[Entry], str]) -> None:
    talk = long_talk(6)
    Connection(talk, client_port=41_000).open().ask()
    store = make_store(tmp_path / "store", talk, (17, 35))

    def held() -> int:
        return sum(isinstance(each, Found | Selection) for each in gc.get_objects())

    with Pipeline.open(store) as pipeline:
        gc.collect()
        gc.freeze()  # what was there before is not looked at again for each row
        gc.disable()  # nothing waits for the collector of cycles
        try:
            during = [held() for _ in pipeline.map(line)]
            assert len(during) > 20
            assert set(during) == {0}
        finally:
            gc.enable()
            gc.unfreeze()
