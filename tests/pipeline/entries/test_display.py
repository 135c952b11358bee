"""Rows and representations come from whichever plugin knows best, and one that fails costs itself alone."""

from __future__ import annotations

import json

from kubeshark.extension_api import ByteRange, EntryView, Representation, Section, TableRow, TimelinePoint, hookimpl
from kubeshark.pipeline import Entry
from kubeshark.pipeline.entries._display import representation_document
from tests.pipeline._plugins import Foreign, failure, with_plugins
from tests.pipeline._traffic import Capture, Connection, find

MINE = Section("table", "mine", (TableRow("n", 1, "status_code"),), plugin="mine@1.0.0")


class Renderer(Foreign):
    def __init__(self, priority: int | None, *, fails: bool = False) -> None:
        super().__init__()
        self.priority, self.fails = priority, fails

    @hookimpl
    def render(self, entry: EntryView) -> Representation | None:
        if self.fails:
            raise failure("cannot draw")
        return None if self.priority is None else Representation(self.priority, request=(MINE,))


class Summarizer(Foreign):
    @hookimpl
    def summarize(self, entry: EntryView) -> dict[str, object] | None:
        if not entry.get("http"):
            return None
        return {"method": "M", "methodQuery": "", "summary": "S", "summaryQuery": "", "status": 1, "statusQuery": ""}


def exchange(**plugins: Foreign) -> Entry:
    capture = Capture()
    Connection(capture).open().ask().answer()
    with with_plugins(**plugins) as registered:
        (entry,) = find(capture, "http", registered)
    return entry


def titles(entry: Entry) -> list[str]:
    return [section.title for section in entry.representation().request]


def test_the_highest_priority_shows_the_entry() -> None:
    assert titles(exchange(low=Renderer(1_000), high=Renderer(2_000))) == ["mine"]


def test_below_zero_and_none_mean_not_mine() -> None:
    built_in = titles(exchange())
    assert built_in
    assert titles(exchange(a=Renderer(-1), b=Renderer(None))) == built_in


def test_a_failing_renderer_is_replaced_and_named() -> None:
    entry = exchange(broken=Renderer(9_999, fails=True))
    assert titles(entry) == titles(exchange())
    (said,) = entry.representation().event
    assert (said.title, said.plugin) == ("renderer failed", "test@1.0.0")
    assert "cannot draw" in said.body


def test_the_latest_plugin_gives_the_cells_of_a_row() -> None:
    row = exchange(cells=Summarizer()).row()
    assert (row["method"], row["summary"], row["status"]) == ("M", "S", 1)


def test_a_row_has_what_a_list_shows() -> None:
    entry = exchange()
    row = entry.row()
    assert (row["id"], row["proto"]["abbr"], row["method"], row["summary"], row["status"]) == (
        entry.id,
        "HTTP",
        "GET",
        "/a",
        200,
    )
    assert (row["requestSize"], row["responseSize"], row["size"]) == (28, 40, 68)
    assert (row["src"]["ip"], row["dst"]["port"], row["error"], row["event"]) == ("10.0.0.1", "80", None, False)
    assert row["timestamp"] == entry.start_ns // 1_000_000
    json.dumps(row)


def test_an_entry_that_nobody_summarizes_has_empty_cells() -> None:
    capture = Capture()
    Connection(capture).open()
    (entry,) = find(capture, "tcp_conn")
    assert set(exchange().row()) == set(entry.row())


def test_a_representation_as_json() -> None:
    document = representation_document(Representation(0, data=(MINE,)))
    assert list(document) == ["request", "response", "event", "data"]
    assert document["data"] == [
        {
            "type": "table",
            "title": "mine",
            "tableData": [{"name": "n", "value": 1, "selector": "status_code"}],
            "encoding": "",
            "mimeType": "",
            "body": "",
            "selector": "",
            "plugin": "mine@1.0.0",
            "micros": 0,
        }
    ]


def test_only_what_has_points_and_ranges_says_so() -> None:
    point, found = TimelinePoint(7, "asked", "client"), ByteRange(0, 2, "n", "status_code")
    sections = (Section("timeline", "t", points=(point,)), Section("hex", "h", ranges=(found,)), Section("code", "c"))
    line, dump, code = representation_document(Representation(0, event=sections))["event"]
    assert line["points"] == [{"t": 7, "label": "asked", "direction": "client"}]
    assert dump["ranges"] == [{"start": 0, "end": 2, "selector": "status_code", "name": "n"}]
    assert not {"points", "ranges", "micros"} & code.keys()
    assert "ranges" not in line
    assert "points" not in dump


def test_an_exchange_is_shown_over_time() -> None:
    section = exchange().representation().response[-1]
    assert (section.type, section.title) == ("timeline", "Over time")
    assert [(point.t, point.direction) for point in section.points] == [(0, "client"), (1000, "server")]


def test_the_wrapper_holds_all_a_detail_view_needs() -> None:
    entry = exchange()
    wrapper = entry.wrapper()
    assert list(wrapper) == ["protocol", "representation", "data", "base"]
    assert (wrapper["data"], wrapper["base"]) == (entry.to_dict(), entry.row())
