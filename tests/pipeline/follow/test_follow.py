"""The live view: what it tells is what queries tell, with the same ids, each entry once, whatever the packets' pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture.store import Identity
from kubeshark.core_capture.store.places._local import LocalBackend, LocalFile
from kubeshark.pipeline import Entry, Follow, Pipeline, Plugins
from kubeshark.pipeline.follow._followed import TWIN_S
from kubeshark.pipeline.follow._settle import GROWING, QUIET_S, Wait
from kubeshark.pipeline.reading._segments import node_of
from tests.pipeline._live import LiveCapture, packets_of
from tests.pipeline._stores import long_talk, mixed
from tests.pipeline._traffic import SECOND, Capture, Connection, dns
from tests.pipeline.reading.test_twins import traffic

RAW_IP = 101  # what _traffic makes


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """A capture that goes on, and somebody who watches."""

    live: LiveCapture
    pipeline: Pipeline
    clock: Clock = field(default_factory=Clock)
    watching: list[Follow] = field(default_factory=list)

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        for follow in self.watching:
            follow.close()

    def follow(self, kfl: str = "", **options: Any) -> Follow:
        follow = self.pipeline.follow(kfl, **options)
        follow._clock = self.clock
        self.watching.append(follow)
        return follow

    def ids(self, follow: Follow) -> list[str]:
        """Look once."""
        return [entry.id for run in follow.look() for entry in run]

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def queried(self, kfl: str = "") -> list[str]:
        return [entry.id for entry in self.pipeline.query(kfl)]


@pytest.fixture(scope="module")
def plugins() -> Iterator[Plugins]:
    with Plugins() as made:
        yield made


def scene(path: Path, plugins: Plugins, link_type: int = RAW_IP) -> Scene:
    me = Identity.generate()
    live = LiveCapture(path, me, link_type)
    return Scene(live, Pipeline.open(path, identities=[me], plugins=plugins, create=False))


OVER = QUIET_S[Wait.OVER] + 0.1


def in_steps(records: Sequence[bytes], cuts: Sequence[int]) -> Iterator[Sequence[bytes]]:
    bounds = [0, *sorted({cut % (len(records) + 1) for cut in cuts}), len(records)]
    for low, high in pairwise(bounds):
        yield records[low:high]


def play(found: Scene, records: Sequence[bytes], cuts: Sequence[int], seals: Sequence[int]) -> dict[str, Any]:
    """Let packets come, sealing now and then; return what was told, by id, as it was then."""
    follow = found.follow()
    assert found.ids(follow) == []
    told: dict[str, Any] = {}

    def look() -> None:
        for run in follow.look():
            starts = run.start_ns.tolist()
            assert starts == sorted(starts)
            for entry in run:
                assert entry.id not in told
                told[entry.id] = entry.protocol.flags, entry.error_document(), entry.to_dict()

    for number, step in enumerate(in_steps(records, cuts)):
        found.live.add(step)
        if number in seals and found.live.name:
            found.live.seal()
        look()
        found.pass_time(0.1)
        look()
    for quiet in (0.3, 2.0, OVER):
        found.pass_time(quiet)
        look()
    assert not follow.problems
    assert not follow.dropped
    return told


def check(found: Scene, told: dict[str, Any]) -> None:
    final = {entry.id: entry.to_dict() for entry in found.pipeline.query()}
    assert final
    assert set(told) == set(final)
    for each, (flags, error, document) in told.items():
        if error is None and GROWING.isdisjoint(flags) and not each.endswith("conn") and document["data"] is None:
            for half in ("request", "response", "event", "startTime", "protocol"):
                assert document[half] == final[each][half], (each, half)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(st.integers(0, 5_000), max_size=12),
    seals=st.lists(st.integers(0, 12), max_size=4),
)
def test_recorded_traffic_is_told_as_queries_tell_it(
    cuts: list[int], seals: list[int], root: Path, plugins: Plugins, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ((link_type, records),) = packets_of(root / "examples" / "captures" / "sample.pcapng").items()
    with scene(tmp_path_factory.mktemp("live"), plugins, link_type) as found:
        check(found, play(found, records, cuts, seals))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.sampled_from(["talk", "mixed"]),
    cuts=st.lists(st.integers(0, 100), max_size=20),
    seals=st.lists(st.integers(0, 20), max_size=6),
)
def test_connections_that_run_on_through_segments_keep_their_ids(
    which: str, cuts: list[int], seals: list[int], plugins: Plugins, tmp_path_factory: pytest.TempPathFactory
) -> None:
    capture = long_talk(rounds=6) if which == "talk" else mixed()
    with scene(tmp_path_factory.mktemp("live"), plugins) as found:
        check(found, play(found, capture.records, cuts, seals))


def test_a_request_waits_for_its_response(tmp_path: Path, plugins: Plugins) -> None:
    capture = Capture()
    connection = Connection(capture).open().ask()
    asked = len(capture.records)
    connection.answer()
    with scene(tmp_path, plugins) as found:
        follow = found.follow("http")
        assert found.ids(follow) == []
        found.live.add(capture.records[:asked])
        assert found.ids(follow) == []
        found.pass_time(5)
        assert found.ids(follow) == []
        found.live.add(capture.records[asked:])
        assert found.ids(follow) == found.queried("http") != []
        assert found.ids(follow) == []


def test_a_request_nobody_answers_is_told_in_the_end(tmp_path: Path, plugins: Plugins) -> None:
    capture = Capture()
    Connection(capture).open().ask()
    with scene(tmp_path, plugins) as found:
        follow = found.follow("http")
        found.ids(follow)
        found.live.add(capture.records)
        assert found.ids(follow) == []
        found.pass_time(OVER)
        assert found.ids(follow) == found.queried("http") != []


def test_only_what_comes_from_now_on_is_told(tmp_path: Path, plugins: Plugins) -> None:
    capture = Capture()
    connection = Connection(capture).open().ask().answer()
    capture.add(dns(1))
    first = len(capture.records)
    capture.add(dns(1, answer=True))
    connection.ask().answer()
    with scene(tmp_path, plugins) as found:
        found.live.add(capture.records[:first])
        before = found.queried("http || dns")
        follow, everything = found.follow("http || dns"), found.follow("http || dns", since_ns=0)
        late = found.follow("http || dns", begun_later=True)
        assert found.ids(follow) == found.ids(late) == []
        assert found.ids(everything) == [each for each in before if each in found.queried("http")]
        found.live.add(capture.records[first:])
        fresh = found.ids(follow)
        assert len(fresh) == 2  # the answer that was waited for, and the second exchange
        assert set(fresh) == set(found.ids(everything))
        assert found.ids(late) == [each for each in fresh if each in found.queried("http")]


def test_a_connection_from_before_is_found_in_its_segments(tmp_path: Path, plugins: Plugins) -> None:
    capture = long_talk(rounds=4)
    third = len(capture.records) // 3
    with scene(tmp_path, plugins) as found:
        found.live.add(capture.records[:third])
        found.live.seal()
        found.live.add(capture.records[third : 2 * third])
        found.live.seal()
        shown = set(found.queried("http"))
        follow = found.follow("http")
        found.ids(follow)
        found.live.add(capture.records[2 * third :])
        told = set(found.ids(follow))
        assert told
        assert told <= set(found.queried("http"))
        assert set(found.queried("http")) - shown <= told


def test_whoever_is_too_slow_is_told_what_was_passed_over(tmp_path: Path, plugins: Plugins) -> None:
    with scene(tmp_path, plugins) as found:
        follow = found.follow("http")
        follow._max_behind = 1
        found.ids(follow)
        for number in range(3):
            capture = Capture()
            Connection(capture, client_port=40_000 + number).open().ask().answer()
            found.live.add(capture.records)
            found.live.seal()
        found.ids(follow)
        assert follow.dropped.segments == 3
        assert follow.dropped.packets > 0
        assert "a query shows them" in str(follow.dropped)


def test_it_stops_from_another_thread(tmp_path: Path, plugins: Plugins) -> None:
    with scene(tmp_path, plugins) as found:
        follow = found.pipeline.follow("http")
        got: list[str] = []
        reader = threading.Thread(target=lambda: got.extend(entry.id for entry in follow))
        reader.start()
        capture = Capture()
        Connection(capture).open().ask().answer()
        time.sleep(0.2)
        found.live.add(capture.records)
        deadline = time.monotonic() + 60
        while not got and time.monotonic() < deadline:
            time.sleep(0.02)
        follow.stop()
        reader.join(30)
        assert not reader.is_alive()
        assert got == found.queried("http")


def two_nodes(path: Path, plugins: Plugins) -> tuple[Scene, LiveCapture]:
    """Return a scene in which node "a" captures, and who captures as node "b" into the same store."""
    found = scene(path, plugins)
    found.live.node = "a"
    return found, LiveCapture(path, found.live.identity, RAW_IP, number=100, node="b")


def nodes_told(found: Scene, follow: Follow) -> dict[str, list[str]]:
    """Look once; return the nodes of what is told, by id."""
    return {entry.id: nodes_of(entry) for run in follow.look() for entry in run}


def nodes_of(entry: Entry) -> list[str]:
    """Return what `nodes` says where the stores of several nodes are joined."""
    facts = entry.facts
    return sorted({*(node_of(part.segment) for part in facts.parts), *facts.seen})


@pytest.mark.parametrize("lost", [0, 1], ids=["saw all", "missed some"])
@pytest.mark.parametrize("is_first", ["a", "b"])
@pytest.mark.parametrize("clock_ns", [0, 3_000_000, -3_000_000])
def test_what_two_nodes_saw_is_told_once_with_the_ids_of_queries(
    tmp_path: Path, plugins: Plugins, is_first: str, lost: int, clock_ns: int
) -> None:
    found, other = two_nodes(tmp_path, plugins)
    here, there = traffic(), traffic(clock_ns=clock_ns)
    del there.records[7 : 7 + 3 * lost]
    with found:
        found.live.add(traffic(clock_ns=-SECOND, first=50, connections=1).records)
        other.add(traffic(clock_ns=clock_ns - SECOND, first=60, connections=1).records)
        before = set(found.queried("http or dns"))
        follow = found.follow("http or dns")
        found.ids(follow)
        first, second = (found.live, here), (other, there)
        if is_first == "b":
            first, second = second, first
        told: dict[str, list[str]] = {}
        half = len(here.records) // 2
        for part in (slice(half), slice(half, None)):
            for live, capture in (first, second):
                live.add(capture.records[part])
                now = nodes_told(found, follow)
                assert not told.keys() & now.keys()
                told |= now
                found.pass_time(0.3)
        found.pass_time(OVER)
        told |= nodes_told(found, follow)
        expected = {entry.id: nodes_of(entry) for entry in found.pipeline.query("http or dns")}
        assert told == {each: nodes for each, nodes in expected.items() if each not in before}
        assert lost or set(map(tuple, told.values())) == {("a", "b")}
        for live in (found.live, other):
            live.seal()
        assert nodes_told(found, follow) == {}
        assert {entry.id for entry in found.pipeline.query("http or dns")} == set(told) | before


def test_a_node_that_is_late_repeats_nothing_and_is_not_waited_for_long(tmp_path: Path, plugins: Plugins) -> None:
    found, other = two_nodes(tmp_path, plugins)
    here = traffic(connections=2)
    with found:
        follow = found.follow("http")
        found.live.add(traffic(first=50, connections=1).records)
        other.add(traffic(first=60, connections=1).records)
        found.pass_time(OVER)
        found.ids(follow)
        found.live.add(here.records)
        assert found.ids(follow) == []  # the other may have seen it
        found.pass_time(TWIN_S)
        told = nodes_told(found, follow)
        assert len(told) == 6
        assert {tuple(nodes) for nodes in told.values()} == {("a",)}
        found.pass_time(20.0)
        other.add(here.records)
        for _ in range(3):
            assert found.ids(follow) == []
            found.pass_time(OVER)


def test_nobody_is_waited_for_where_one_node_captures(tmp_path: Path, plugins: Plugins) -> None:
    with scene(tmp_path, plugins) as found:
        follow = found.follow("http")
        found.ids(follow)
        found.live.add(traffic(connections=1).records)
        assert len(found.ids(follow)) == 3


def test_what_is_told_comes_from_memory(tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of the log is opened once, however often its connections are read; nothing that is sealed is."""
    opened: list[str] = []
    opening = LocalBackend.open

    def note(files: LocalBackend, name: str) -> LocalFile:
        opened.append(name)
        return opening(files, name)

    with scene(tmp_path, plugins) as found:
        follow = found.follow("http")
        found.ids(follow)
        capture = Capture()
        connection = Connection(capture).open()
        monkeypatch.setattr(LocalBackend, "open", note)
        told = []
        for number in range(30):
            sent = len(capture.records)
            connection.ask(f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).answer()
            found.live.add(capture.records[sent if number else 0 :])
            told += found.ids(follow)
            found.pass_time(1.0)
        assert len(told) == 30
        assert len(opened) == len(set(opened)) == 30
        assert all(name.endswith(".log.age") for name in opened)
