"""Time order over segments, windows, limits, damage, and how little is read and built."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kubeshark.core_capture import And, Predicate
from kubeshark.errors import Damaged, PluginError
from kubeshark.extension_api import CLIENT, Classifier, Verdict
from kubeshark.pipeline import Entry, Pipeline
from kubeshark.pipeline._budget import Budget
from kubeshark.pipeline.entries._order import Order
from kubeshark.pipeline.query import _plan, _query
from kubeshark.pipeline.query._query import QueryProgress
from kubeshark.pipeline.query._rows import Fields
from kubeshark.pipeline.reading._segments import MemorySegment
from kubeshark.pipeline.tables._table import Found
from tests.core_capture.reference._packets import ethernet, udp
from tests.pipeline._plugins import Lines, ProbedLines, with_plugins
from tests.pipeline._stores import long_talk, make_store, mixed
from tests.pipeline._traffic import MS, START_NS, Capture, Connection, dns, find, make_query


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def busy() -> Capture:
    """Two connections whose exchanges interleave, in eleven packets."""
    capture = Capture()
    first = Connection(capture, client_port=40_000).open()
    second = Connection(capture, client_port=40_001).open()
    first.ask(get("/1"))
    second.ask(get("/2")).answer()
    first.answer().ask(get("/3")).answer()
    second.ask(get("/4"))
    return capture


def paths(entries: Any) -> list[str]:
    return [entry.get("path") for entry in entries]


# order, windows, limits


def test_entries_come_in_time_order_whatever_their_connections_and_segments() -> None:
    for cuts in ([], [5], [3, 6], [1, 2, 3, 4, 5, 6, 7, 8]):
        assert paths(find(busy(), "http", cuts=cuts)) == ["/1", "/2", "/3", "/4"], cuts


def test_entries_are_handed_out_as_soon_as_no_earlier_one_can_come() -> None:
    segments = busy().segments(8)
    query = make_query(segments, "http")
    running = iter(query)
    assert paths([next(running), next(running)]) == ["/1", "/2"]
    assert query.stats.segments_touched == 1
    assert paths(running) == ["/3", "/4"]


def test_segments_may_come_in_any_order_and_overlap_in_time() -> None:
    first, second = Capture(), Capture(START_NS + 3 * MS)
    Connection(first).open().ask(get("/1")).answer().ask(get("/3")).answer()
    Connection(second, client_port=40_001).open().ask(get("/2")).answer()
    segments = [*second.segments(), *first.segments()]
    assert paths(make_query(segments, "http")) == ["/1", "/3", "/2"]
    segments[0].name = "other"
    times = [entry.start_ns for entry in make_query(segments, "")]
    assert times == sorted(times)


def test_a_window_of_time_takes_its_ends_in() -> None:
    start = [entry.start_ns for entry in find(busy(), "http")]
    windows = [
        ((start[1], None), ["/2", "/3", "/4"]),
        ((None, start[1]), ["/1", "/2"]),
        ((start[1], start[2]), ["/2", "/3"]),
        ((start[3] + 1, None), []),
        ((start[2], start[1]), []),
        ((0, 1 << 70), ["/1", "/2", "/3", "/4"]),
    ]
    for (since_ns, until_ns), expected in windows:
        found = make_query(busy().segments(), "http", since_ns=since_ns, until_ns=until_ns)
        assert paths(found) == expected


def test_a_window_reads_no_flows_outside() -> None:
    capture = Capture()
    capture.add(dns(1))
    capture.wait(60)
    capture.add(dns(2, client_port=33_001))
    query = make_query(capture.segments(), "dns", since_ns=START_NS + 10**9)
    assert len(list(query)) == 1
    assert (query.stats.flows, query.stats.flows_selected) == (2, 1)


def test_limits() -> None:
    for limit in (0, 1, 3, 4, 99):
        assert paths(make_query(busy().segments(5), "http", limit=limit)) == ["/1", "/2", "/3", "/4"][:limit]
    query = make_query(busy().segments(), "http", limit=0)
    assert list(query) == []
    assert query.stats.segments_touched == 0


def test_a_limit_stops_before_later_segments() -> None:
    capture = Capture()
    for number in range(3):
        capture.add(dns(number, client_port=33_000 + number))
        capture.wait(1)
    query = make_query(capture.segments(1, 2), "dns", limit=1)
    assert len(list(query)) == 1
    assert query.stats.segments_touched == 1


def test_progress_is_told_between_chunks() -> None:
    capture = Capture()
    for number in range(3):
        capture.add(dns(number, client_port=33_000 + number))
        capture.wait(1)
    seen: list[QueryProgress] = []
    list(make_query(capture.segments(1, 2), "dns", on_progress=seen.append))
    assert [(told.segments, told.entries) for told in seen] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [told.done * 3 // told.total for told in seen] == [0, 1, 2, 3]


def test_nothing_in_nothing_out() -> None:
    assert list(make_query([], "")) == []
    capture = Capture()
    capture.add(b"\0")  # no IP packet: a segment without flows
    assert find(capture, "") == []


# how little is done


def test_a_summary_query_builds_no_document() -> None:
    query = make_query(busy().segments(), 'http && method == "GET" && elapsed_time < 5000000 && status_code != 500')
    assert len(list(query)) == 4
    assert (query.stats.entries, query.stats.matched, query.stats.built) == (4, 4, 0)


def test_a_query_of_headers_builds_only_what_cheaper_terms_leave() -> None:
    query = make_query(busy().segments(), 'http && path == "/2" && request.headers["host"] == "h"')
    assert paths(query) == ["/2"]
    assert (query.stats.entries, query.stats.built) == (4, 1)


def test_flows_that_the_index_excludes_are_not_dissected() -> None:
    capture = busy()
    capture.add(dns(1))
    query = make_query(capture.segments(), "http && src.port == 40001")
    assert paths(query) == ["/2", "/4"]
    assert (query.stats.flows, query.stats.flows_selected, query.stats.entries) == (3, 1, 2)


def test_segments_without_chosen_flows_are_not_touched() -> None:
    capture = busy()
    capture.add(dns(1))
    query = make_query(capture.segments(11), "dst.port == 53")
    assert len(list(query)) == 2  # the question and its connection
    assert (query.stats.segments, query.stats.segments_touched) == (2, 1)


# damage


@dataclass
class Torn:
    """A segment some of whose flows cannot be read."""

    whole: MemorySegment
    torn: frozenset[int]
    reads: list[list[int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def link_type(self) -> int:
        return self.whole.link_type

    @property
    def flows(self) -> NDArray[Any]:
        return self.whole.flows

    def match(self, predicate: Predicate) -> NDArray[np.bool_]:
        return self.whole.match(predicate)

    def records(self, rows: Sequence[int]) -> list[bytes | memoryview]:
        self.reads.append(list(rows))
        if self.torn & set(rows):
            raise Damaged("block 3 fails its check", file="s0.pcap.zst.age")
        return self.whole.records(rows)

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        self.records(rows.tolist())
        return self.whole.gathered(rows)

    def placed(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self.whole.placed(rows)


def questions(count: int) -> Capture:
    capture = Capture()
    for number in range(count):
        capture.add(dns(number, client_port=33_000 + number))
    return capture


def test_damage_costs_the_flows_it_touches_and_is_told_once() -> None:
    segment = Torn(questions(9).segments()[0], frozenset({2, 7}))
    query = make_query([segment], "dns")
    assert [entry.entry_id.flow for entry in query] == [0, 1, 3, 4, 5, 6, 8]
    assert [str(problem) for problem in query.problems] == ["s0.pcap.zst.age: damaged: block 3 fails its check"]


def test_ids_stay_the_same_beside_damage() -> None:
    segment = questions(5).segments()[0]
    whole = {entry.id: entry.to_dict() for entry in make_query([segment], "dns")}
    torn = {entry.id: entry.to_dict() for entry in make_query([Torn(segment, frozenset({0, 3}))], "dns")}
    assert torn == {number: whole[number] for number in torn}
    assert len(torn) == 3


def test_all_damaged() -> None:
    query = make_query([Torn(questions(3).segments()[0], frozenset(range(3)))], "")
    assert list(query) == []
    assert len(query.problems) == 1


def test_a_connection_with_a_damaged_continuation_is_cut_there() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask()
    first, second = capture.segments(3)
    query = make_query([first, Torn(second, frozenset({0}))], "http")
    (entry,) = query
    assert entry.error is not None
    assert len(query.problems) == 1


def test_problems_of_plugins_are_problems_of_the_query() -> None:
    problems: list[PluginError] = []
    capture = Capture()
    Connection(capture, 7000).open().ask(b"boom\n").end(CLIENT)
    with with_plugins(lines=Lines(Classifier("tcp", (7000,)), fails_on=b"boom")) as plugins:
        query = make_query(capture.segments(), "", plugins, problems)
        list(query)
    assert query.problems == problems != []


def test_a_plugin_that_fails_in_every_segment_is_told_once() -> None:
    capture = Capture()
    for number in range(6):
        Connection(capture, 7000, 40_000 + number).open().ask(b"boom\n")
    with with_plugins(lines=Lines(Classifier("tcp", (7000,)), fails_on=b"boom")) as plugins:
        query = make_query(capture.segments(6, 12), "", plugins)
        list(query)
    assert [str(problem) for problem in query.problems] == ["plugin test@1.0.0: no idea"]


# push-down by a plugin's ports


@pytest.mark.parametrize("kfl", ["lines", "!lines", "lines || dns", 'lines && lines_text == "hi 3"'])
@pytest.mark.parametrize("has_probe", [False, True])
def test_a_protocol_known_by_its_ports_is_read_from_them_alone(kfl: str, has_probe: bool) -> None:
    """The same entries as when everything is read; from fewer connections, unless its content makes it known."""
    capture = Capture()
    for number in range(4):
        Connection(capture, port=7000, client_port=40_000 + number).open().ask(b"hi %d\n" % number)
        Connection(capture, port=80, client_port=7000 if number == 1 else 41_000 + number).open().ask().answer()
        capture.add(dns(number))
    segments = capture.segments(9, 14)
    classifier = Classifier("tcp", (7000,))
    plugin = ProbedLines(Verdict.NOT_MINE, classifier) if has_probe else Lines(classifier)
    with with_plugins(lines=plugin) as plugins:
        asked = make_query(segments, kfl, plugins)
        narrow = [entry.to_dict() for entry in asked]
        everything = make_query(segments, kfl, plugins)
        everything.pushed = And(())
        assert narrow == [entry.to_dict() for entry in everything]
        told = "\n".join(asked.filter.explain())
    assert bool(narrow) or has_probe
    if kfl.startswith("lines &&") and not has_probe:
        assert asked.stats.flows_selected < everything.stats.flows_selected
        assert "port 7000" in told
    assert ("on any port   " in told and "lines: known by content" in told) == has_probe or "dns" in kfl


# connections of tunnels


def test_carriers_are_connections_only_where_connections_are_asked_for() -> None:
    capture = Capture()
    capture.add(udp(b"\x08\0\0\0\0\0\x07\0" + ethernet(0x0800, dns(1)), (50_000, 4789)))
    assert [entry.dst.port for entry in find(capture, "udp_conn && dst.port == 4789")] == [4789]
    assert find(capture, "dns && dst.port == 4789") == []
    query = make_query(capture.segments(), "dns")
    assert [entry.get("tunnel") for entry in query] == ["vxlan"]


# pages


def ids(entries: Iterable[Entry]) -> list[str]:
    return [entry.id for entry in entries]


@settings(max_examples=25)
@given(
    capture=st.sampled_from([long_talk(), mixed()]),
    kfl=st.sampled_from(["", "http", "dns || conn", "flow || http", 'path == "/nowhere"']),
    cuts=st.lists(st.integers(1, 35), max_size=3, unique=True).map(sorted),
    size=st.integers(1, 12),
    order=st.sampled_from(["asc", "desc"]),
    chunk_bytes=st.sampled_from([300, 2_000, 1 << 20]),
    data=st.data(),
)
def test_pages_are_the_whole_in_both_directions(
    capture: Capture, kfl: str, cuts: list[int], size: int, order: Order, chunk_bytes: int, data: st.DataObject
) -> None:
    whole = ids(make_query(capture.segments(*cuts), kfl))
    whole = whole if order == "asc" else whole[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "FIRST_CHUNK_BYTES", chunk_bytes)
        forth: list[str] = []
        after = None
        while True:
            query = make_query(capture.segments(*cuts), kfl, order=order, limit=size, after=after)
            forth += ids(query)
            after = query.next_place
            if after is None:
                break
        assert forth == whole
        if not whole:
            return
        where = data.draw(st.integers(0, len(whole) - 1))
        head = make_query(capture.segments(*cuts), kfl, order=order, limit=where + 1)
        list(head)
        back: list[str] = []
        before = head.next_place
        while before is not None:
            query = make_query(capture.segments(*cuts), kfl, order=order, limit=size, before=before)
            back = ids(query) + back
            before = query.previous_place
        assert back == whole[:where]


def test_a_page_stays_where_it_is_when_segments_come_and_go() -> None:
    capture = mixed(8)
    segments = capture.segments(30, 60)
    whole = ids(make_query(segments, "http"))
    first = make_query(segments, "http", limit=5)
    assert ids(first) == whole[:5]
    gone = make_query(segments[1:], "http", limit=99, after=first.next_place)  # the first one was pruned
    kept = [each for each in whole[5:] if not each.startswith("s0-")]
    assert [each for each in ids(gone) if each in kept] == kept
    late = Capture(capture.now_ns)
    Connection(late, client_port=50_000).open().ask().answer()
    (added,) = late.segments()
    added.name = "s9"
    more = make_query([*segments, added], "http", after=first.next_place)
    assert ids(more)[:-1] == whole[5:]


def test_a_page_in_the_middle_has_an_end_before_and_behind() -> None:
    segments = mixed().segments()
    whole = ids(make_query(segments, "http"))
    page = make_query(segments, "http", limit=2)
    list(page)
    second = make_query(segments, "http", limit=2, after=page.next_place)
    list(second)
    between = make_query(segments, "http", after=page.next_place, before=second.next_place)
    assert ids(between) == whole[2:3]


def test_the_newest_page_reads_the_newest_segments_only() -> None:
    capture = Capture()
    for number in range(6):
        capture.add(dns(number, client_port=33_000 + number))
        capture.wait(1)
    query = make_query(capture.segments(1, 2, 3, 4, 5), "dns", limit=2, order="desc")
    assert [entry.entry_id.segment for entry in query] == ["s5", "s4"]
    assert query.stats.segments_touched == 2


# budgets and cancel


def seconds_apart(count: int) -> Capture:
    capture = Capture()
    for number in range(count):
        capture.add(dns(number, client_port=33_000 + number))
        capture.wait(1)
    return capture


def test_a_used_up_budget_ends_a_query_where_it_can_go_on() -> None:
    segments = seconds_apart(5).segments(1, 2, 3, 4)
    whole = ids(make_query(segments, "dns"))
    found: list[str] = []
    after, runs = None, 0
    while True:
        query = make_query(segments, "dns", after=after, budget=Budget(seconds=0))
        found += ids(query)
        runs += 1
        after = query.next_place
        if after is None:
            break
        assert query.stopped == "stopped after 0 s"
    assert found == whole
    assert runs >= 4
    assert query.stats.segments_touched == 1


def test_a_budget_ends_a_query_that_finds_nothing() -> None:
    segments = seconds_apart(5).segments(1, 2, 3, 4)
    query = make_query(segments, "dns && dns_rcode == 'x'", budget=Budget(seconds=0))
    assert list(query) == []
    assert query.stopped
    assert query.stats.segments_touched == 1
    assert query.next_place is not None


def test_a_cancelled_query_ends_at_the_next_entry() -> None:
    segments = seconds_apart(5).segments(1, 2, 3, 4)
    query = make_query(segments, "dns")
    found = []
    for entry in query:
        found.append(entry.id)
        if len(found) == 2:
            threading.Thread(target=query.cancel).start()
            while not query._watch.is_cancelled:
                pass
    assert (len(found), query.stopped) == (2, "cancelled")
    rest = make_query(segments, "dns", after=query.next_place)
    assert found + ids(rest) == ids(make_query(segments, "dns"))


def test_a_query_cancelled_before_it_began_gives_nothing() -> None:
    query = make_query(seconds_apart(2).segments(1), "dns")
    query.cancel()
    assert list(query) == []
    assert query.stopped == "cancelled"


@settings(deadline=None, max_examples=40)
@given(
    kfl=st.sampled_from(["", "http", "dns || conn"]),
    make=st.sampled_from([Fields(("src.ip", "status_code")), Fields(("request_body",))]),
    limit=st.sampled_from([None, 0, 1, 2, 5]),
    order=st.sampled_from(["asc", "desc"]),
    cuts=st.lists(st.integers(1, 20), max_size=2, unique=True).map(sorted),
    is_backwards=st.booleans(),
)
def test_lists_hold_what_iterating_gives(
    kfl: str, make: Fields, limit: int | None, order: Order, cuts: list[int], is_backwards: bool
) -> None:
    segments = mixed().segments(*cuts)
    options: dict[str, Any] = {"limit": limit, "order": order}
    if is_backwards:
        last = make_query(segments, kfl, order=order, limit=4)
        list(last)
        options["before"] = last.next_place
    one, many = (make_query(segments, kfl, make=make, **options) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_query, "LISTED", 2)
        lists = list(many.lists())
    assert [row for rows in lists for row in rows] == list(one)
    assert all(1 <= len(rows) <= (1 if make.names == ("request_body",) else 2) for rows in lists)
    assert (many.next_place, many.previous_place) == (one.next_place, one.previous_place)


def test_a_query_cancelled_between_lists_goes_on_behind_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_query, "LISTED", 2)
    segments = seconds_apart(5).segments()
    query = make_query(segments, "dns", make=Fields(()))
    found = []
    for rows in query.lists():
        found += [row["id"] for row in rows]
        query.cancel()
    assert (len(found), query.stopped) == (2, "cancelled")
    rest = make_query(segments, "dns", after=query.next_place)
    assert found + ids(rest) == ids(make_query(segments, "dns"))


def test_a_used_up_budget_ends_a_query_behind_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_query, "LISTED", 2)
    query = make_query(seconds_apart(5).segments(), "dns", make=Fields(()), budget=Budget(seconds=60))
    sizes = []
    for rows in query.lists():
        sizes.append(len(rows))
        query._watch.clock = lambda: query._watch._started + 61
    assert (sizes, query.stopped) == ([2], "stopped after 60 s")
    assert query.next_place is not None


class Asked:
    """Gives up when it has been asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.left


@pytest.mark.parametrize("kfl", ["", "dns", "conn", "conn_local_bytes > 0"])
def test_nobody_waits_for_the_rest_of_a_chunk(kfl: str) -> None:
    capture, whole = seconds_apart(40), Asked(1 << 30)
    everything = ids(make_query(capture.segments(1), kfl, gave_up=whole))
    assert whole.asked > 40  # of one segment, which is one chunk
    for times in (0, 1, 7, 20, whole.asked // 2):
        asked = Asked(times)
        query = make_query(capture.segments(1), kfl, gave_up=asked)
        assert everything[: len(found := ids(query))] == found
        assert query.stopped == "cancelled"
        assert asked.asked <= times + 4


def test_a_chunk_is_left_before_its_first_entry_is_there(root: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(root / "examples/captures/sample.pcapng")
        for kfl in ('path == "/nowhere"', "conn_local_bytes > 1000000000"):
            asked = Asked(1 << 30)
            assert list(pipeline.query(kfl, gave_up=asked)) == []  # so that nobody is asked between entries
            assert asked.asked > 60
            asked = Asked(30)
            query = pipeline.query(kfl, gave_up=asked)
            assert list(query) == []
            assert query.stopped == "cancelled"
            assert asked.asked <= 33


def test_what_is_looked_at_when_its_asker_has_gone_is_whole() -> None:
    segments, has_gone = seconds_apart(5).segments(1), threading.Event()
    expected = [entry.to_dict() for entry in make_query(segments, "dns")]
    query = make_query(segments, "dns", gave_up=has_gone.is_set)
    first = next(iter(query))
    has_gone.set()
    assert first.to_dict() == expected[0]


def test_a_query_that_is_let_go_of_keeps_no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Found]] = []
    begin = Found.__init__

    def noting(self: Found, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Found, "__init__", noting)
    gc.disable()
    try:
        assert len(list(make_query(questions(5).segments(), "dns"))) == 5
        assert made
        assert [found for found in made if found() is not None] == []
    finally:
        gc.enable()


LOOKS: list[Callable[[Entry], object]] = [
    lambda entry: entry.get("response_body"),
    lambda entry: entry.variables["elapsed_time"],
    lambda entry: entry.to_dict(),
    lambda entry: entry.whole().representation(),
    lambda entry: entry.row(),
]


@pytest.mark.parametrize("look", LOOKS)
def test_an_entry_that_was_looked_at_is_freed_without_the_collector(
    root: Path, tmp_path: Path, look: Callable[[Entry], object]
) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(root / "examples/captures/sample.pcapng")
        gc.collect()
        before = {id(each) for each in gc.get_objects() if isinstance(each, Entry | Found)}
        gc.disable()
        try:
            assert sum(1 for _ in map(look, pipeline.query(""))) > 60
            assert [
                each for each in gc.get_objects() if isinstance(each, Entry | Found) and id(each) not in before
            ] == []
        finally:
            gc.enable()


def test_what_was_dissected_for_a_column_goes_with_the_last_entry_of_its_stream(tmp_path: Path) -> None:
    capture = Capture()
    for number in range(400):
        Connection(capture, client_port=40_000 + number).open().ask().answer().end(0).end(1)

    def held() -> int:
        return sum(isinstance(each, Entry) for each in gc.get_objects())

    with Pipeline.open(make_store(tmp_path / "store", capture)) as pipeline:
        before = held()
        rows = iter(pipeline.map(Fields(("response_body",)), "http"))
        next(rows)
        assert held() - before == 256, "a batch"
        assert sum(1 for _ in islice(rows, 300)) == 300
        assert held() - before < 256
