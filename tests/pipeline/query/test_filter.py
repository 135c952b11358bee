"""Plugin filters are asked late, in batches, about what is still open; their failures are counted, not raised."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeshark.errors import PluginError, UsageError
from kubeshark.extension_api import EntryView, FilterSpec, Value, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.query._exact import exact_predicate
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.tables._table import EntryTable, Found
from tests.pipeline._plugins import Foreign, failure, with_plugins
from tests.pipeline._traffic import Capture, Connection, dns, make_query


class PathEnds(Foreign):
    """path_ends("x"): the path ends with it; None for paths with "odd", an error for "boom"."""

    spec = FilterSpec("path_ends", ("string",), ("path",))

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    @hookimpl
    def filters(self) -> Sequence[FilterSpec]:
        return (self.spec,)

    @hookimpl
    def filter(
        self, filter: FilterSpec, arguments: Sequence[Value], entries: Sequence[EntryView]
    ) -> Sequence[bool | None]:
        paths = [str(entry.get("path")) for entry in entries]
        self.batches.append(paths)
        if "/boom" in paths:
            raise failure("cannot decide")
        return [None if "odd" in path else path.endswith(str(arguments[0])) for path in paths]


def paths_capture(*paths: str) -> Capture:
    capture = Capture()
    connection = Connection(capture).open()
    for path in paths:
        connection.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).answer()
    capture.add(dns(1))
    return capture


def ask(kfl: str, *paths: str) -> tuple[list[str], PathEnds, EntryFilter]:
    plugin = PathEnds()
    with with_plugins(ends=plugin) as plugins:
        query = make_query(paths_capture(*paths).segments(), kfl, plugins)
        found = [str(entry.get("path")) for entry in query]
    return found, plugin, query.filter


def test_a_plugin_filter_decides() -> None:
    found, plugin, _ = ask('http && path_ends("a")', "/a", "/b", "/ba")
    assert found == ["/a", "/ba"]
    assert plugin.batches == [["/a", "/b", "/ba"]]


def test_only_what_cheaper_terms_leave_open_is_asked() -> None:
    _, plugin, _ = ask('path_ends("a") && http && path != "/b"', "/a", "/b", "/c")
    assert plugin.batches == [["/a", "/c"]]
    _, plugin, _ = ask('dns || path == "/b" || path_ends("a")', "/a", "/b")
    assert plugin.batches == [["/a", "", ""]]  # the open path, and the two connections


def test_nobody_is_asked_when_nothing_is_open() -> None:
    _, plugin, _ = ask('path == "/none" && path_ends("a")', "/a")
    assert plugin.batches == []


def test_no_answer_is_an_evaluation_error() -> None:
    found, _, entry_filter = ask('http && path_ends("a")', "/odd/a", "/a")
    assert found == ["/a"]
    assert entry_filter.error_note.startswith("1 entries did not match because the filter failed on them: ")


def test_a_failing_plugin_filter_matches_nothing_and_is_noted() -> None:
    found, _, entry_filter = ask('http && path_ends("a")', "/a", "/boom")
    assert found == []
    assert [str(error) for error in entry_filter.failures] == ["plugin test@1.0.0: cannot decide"]
    found, _, _ = ask('http && (path == "/b" || path_ends("a"))', "/a", "/b", "/boom")
    assert found == ["/b"]


def test_negation_of_a_failed_answer_is_still_a_failure() -> None:
    assert ask('http && !path_ends("a")', "/a", "/boom")[0] == []


def test_order_is_kept() -> None:
    assert ask("http", "/c", "/a", "/b")[0] == ["/c", "/a", "/b"]


def test_evaluation_errors_are_counted_and_the_first_is_told() -> None:
    entry_filter = EntryFilter('http && int(path_segments[3]) > 1 || path == "/b"', Plugins(), now_ns=0)
    entries = EntryTable(Found.of(list(make_query(paths_capture("/a", "/b").segments(), "http")), Origin()))
    assert [entry.get("path") for entry in entry_filter.select(entries)] == ["/b"]
    assert entry_filter.error_note.startswith("1 entries did not match")
    assert EntryFilter("http", Plugins(), now_ns=0).error_note == ""


@pytest.mark.parametrize("kfl", ["http &&", "nope", 'path_ends("a")', "status_code", "path_ends"])
def test_what_cannot_be_meant_is_refused(kfl: str) -> None:
    with pytest.raises(UsageError):
        EntryFilter(kfl, Plugins(), now_ns=0)


@pytest.mark.parametrize(
    ("kfl", "pushed", "is_exact", "full"),
    [
        ("", "(nothing)", True, "not needed by the filter"),
        ("dst.port == 80", "dst port 80", True, "not needed by the filter"),
        ("http && status_code == 500", "transport", False, "not needed by the filter"),
        ('response_body.contains("x")', "", False, "built for response_body"),
    ],
)
def test_explain(kfl: str, pushed: str, is_exact: bool, full: str) -> None:
    entry_filter = EntryFilter(kfl, Plugins(), now_ns=0)
    lines = [line[14:] for line in entry_filter.explain()]
    assert lines[0] == (kfl or "(everything)")
    assert pushed in lines[1]
    assert lines[1].endswith(" (exact)") is is_exact
    assert lines[2] == full


def test_the_old_language_is_translated_with_a_notice() -> None:
    entry_filter = EntryFilter("response.status == 500 and http", Plugins(), now_ns=0)
    assert any("translated" in notice for notice in entry_filter.notices)


def test_failures_are_plugin_errors() -> None:
    _, _, entry_filter = ask('path_ends("a")', "/boom")
    assert all(isinstance(error, PluginError) for error in entry_filter.failures)


@pytest.mark.parametrize(
    ("kfl", "is_exact"),
    [
        ("", False),
        ("dst.port == 53", True),
        ("http", False),
        ("dst.port == 53 && http", False),
        ("no_such == 1", False),
    ],
)
def test_what_the_index_answers_alone(kfl: str, is_exact: bool) -> None:
    assert (exact_predicate(kfl, now_ns=0) is not None) == is_exact


def test_neither_imports_nor_exact_exports_load_plugins(tmp_path: Path) -> None:
    capture = Capture()
    capture.add(dns(1))
    (tmp_path / "in.pcap").write_bytes(capture.pcap())
    code = """
import sys
from kubeshark import Pipeline
with Pipeline.open("store") as pipeline:
    pipeline.import_file("in.pcap")
    done = pipeline.export("dst.port == 53", "out.pcap")
print(done.packets, "kubeshark.pipeline.dissectors.network.raw" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_a_filter_that_everything_matches_leaves_the_table_as_it_is() -> None:
    table = EntryTable(Found.of(list(make_query(paths_capture("/a", "/b").segments())), Origin()))
    for kfl, is_same in (("", True), ("true", True), ("http || true", True), ("http || dns || tcp_conn", False)):
        assert (EntryFilter(kfl, Plugins(), now_ns=0).select(table) is table) == is_same
