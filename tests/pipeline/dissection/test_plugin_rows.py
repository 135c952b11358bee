"""Rows of foreign plugins say what the entries of their messages say, in the same order, whatever they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kubeshark.core_capture import load_core
from kubeshark.extension_api import CLIENT, SERVER
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts import ForeignPlugin
from kubeshark.hosts._answered import Answered
from kubeshark.hosts._supervisor import Supervision
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.tables._lazy_entry import LazyEntry
from tests.core_capture.reference._packets import A, B, udp
from tests.pipeline._traffic import Capture, Connection, make_query

TYPES = {"s": "string", "i": "int", "d": "double", "b": "bool", "y": "bytes", "l": "list", "m": "map", "t": "timestamp"}
MANIFEST = """
id = "talk"
version = "1.0.0"
abi = 1
language = "js"
entry = "talk.js"
hooks = ["dissect"]
protocol = {name = "talk", abbr = "TALK", long_name = "Talk", ports = [7], matcher = "%s"}
classifiers = [{transport = "tcp", ports = [7]}, {transport = "udp", ports = [7]}]
limits = {batch_ms = 5000}
"""
TALK = r"""
/* Lines: what it is (Q request, q one without answer, R response, r interim, E event, X damaged), a key, a text. */
const KINDS = { Q: "request", q: "request", R: "response", r: "response", E: "event", X: "request" };
function fields(text, at, end) {
  switch (text.length % 4) {
    case 0: return {};
    case 1: return { s: text, i: -text.length, b: true };
    case 2: return { d: text.length / 3, y: new Uint8Array([255, text.length]), l: [text, "ü"], t: 5n };
    default: return { s: { start: at + 2, end }, m: { [text]: "1" }, i: 2n ** 62n };
  }
}
function dissect(item, out) {
  let start = 0;
  for (;;) {
    const end = item.find(10, start) + 1;
    if (end === 0) break;
    const text = item.text(start, end - 1), what = text[0];
    if (what === "T") throw new Error("what a line");
    if (KINDS[what]) {
      out.message({
        kind: KINDS[what], start, end, key: Number(text[1]) || 0, oneWay: what === "q", interim: what === "r",
        error: what === "X" ? "malformed: X" : "", fields: fields(text, start, end - 1),
      });
    }
    start = end;
  }
  return item.transport === 6 ? start : item.length;
}
kubeshark.plugin({ dissect });
"""
FIELDS = (
    "id",
    "timestamp",
    "protocol",
    "talk",
    "src.port",
    "elapsed_time",
    "error",
    *(f"talk_{name}" for name in TYPES),
)
pytestmark = pytest.mark.skipif(load_core().name != "native", reason="rows need the C core: apt-get install gcc")


@pytest.fixture(scope="module", params=["fifo", "key", "none"])
def plugins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugins]:
    folder = tmp_path_factory.mktemp("talk")
    fields = "".join(f'[[fields]]\nname = "{n}"\ntype = "{t}"\nvariable = "talk_{n}"\n' for n, t in TYPES.items())
    (folder / "plugin.toml").write_text(MANIFEST % request.param + fields)
    (folder / "talk.js").write_text(TALK)
    with started(folder) as running:
        yield running


def started(folder: Path) -> Plugins:
    never_quarantined = Supervision(crashes=1_000_000, backoff_s=0.0)
    return Plugins([("talk@1.0.0", ForeignPlugin(folder, read_manifest(folder), never_quarantined))])


@pytest.fixture
def by_messages(plugins: Plugins) -> Iterator[Callable[[bool], None]]:
    """Say whether the plugin's messages become entries at once."""
    bindings = plugins.protocols.all

    def choose(only: bool) -> None:
        plugins.protocols.all = [replace(each, answer=None) for each in bindings] if only else bindings

    yield choose
    plugins.protocols.all = bindings


Talk = Sequence[tuple[int, int, bytes]]
"""(conversation, who, bytes)."""


def traffic(talk: Talk, *, over_udp: bool, lost: int = -1) -> Capture:
    capture = Capture()
    connections: dict[int, Connection] = {}
    for at, (number, who, data) in enumerate(talk):
        port = 40_000 + number
        if over_udp:
            capture.add(udp(data, (port, 7), (A, B)) if who == CLIENT else udp(data, (7, port), (B, A)))
            continue
        if number not in connections:
            connections[number] = Connection(capture, port=7, client_port=port).open()
        if at == lost:
            connections[number].lose(who, len(data))
        else:
            (connections[number].ask if who == CLIENT else connections[number].answer)(data)
    return capture


def documents(capture: Capture, plugins: Plugins, cuts: Sequence[int]) -> list[Any]:
    entries = list(make_query(capture.segments(*cuts), "", plugins))
    return [json.dumps(entry.to_dict(), default=str) for entry in entries]


def variables(capture: Capture, plugins: Plugins, cuts: Sequence[int], kfl: str) -> list[tuple[Any, ...]]:
    query = make_query(capture.segments(*cuts), kfl, plugins)
    return [row for run in query.runs(FIELDS) for row in zip(*map(run.column, FIELDS), strict=True)]


line = st.builds(
    lambda what, key, text: f"{what}{key}{text}\n".encode(),
    st.sampled_from("QQQRRRqrEX?"),
    st.integers(0, 2),
    st.text("aü", max_size=4),
)
turn = st.tuples(st.integers(0, 2), st.sampled_from((CLIENT, SERVER)), st.lists(line, max_size=3).map(b"".join))
talks = st.lists(turn, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks, st.booleans(), st.integers(-1, 11), st.lists(st.integers(1, 10), max_size=2))
def test_rows_are_the_entries(
    plugins: Plugins, by_messages: Callable[[bool], None], talk: Talk, over_udp: bool, lost: int, cuts: list[int]
) -> None:
    capture = traffic([each for each in talk if each[2]], over_udp=over_udp, lost=lost)
    agree(capture, plugins, by_messages, sorted({cut for cut in cuts if cut < len(capture.records)}))


@pytest.mark.parametrize("over_udp", [True, False])
def test_a_stream_that_the_plugin_fails_on_spoils_no_other(
    plugins: Plugins, by_messages: Callable[[bool], None], over_udp: bool
) -> None:
    talk = [(0, CLIENT, b"Q1a\n"), (1, CLIENT, b"T\n"), (0, SERVER, b"R1abc\n")]
    talk += [(1, CLIENT, b"Q1a\n"), (2, SERVER, b"E0\n")]
    agree(traffic(talk, over_udp=over_udp), plugins, by_messages, [])


def agree(capture: Capture, plugins: Plugins, by_messages: Callable[[bool], None], cuts: Sequence[int]) -> None:
    found = []
    for only in (True, False):
        by_messages(only)
        columns = [variables(capture, plugins, cuts, kfl) for kfl in ("", "talk && talk_i < 0", "talk && error")]
        found.append([documents(capture, plugins, cuts), *columns])
        plugins.take_problems()
    for one, other in zip(*found, strict=True):
        assert one == other


@pytest.mark.parametrize("over_udp", [True, False])
def test_columns_make_no_message(plugins: Plugins, over_udp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = [
        (0, CLIENT, b"Q1a\n"),
        (0, SERVER, b"R1abc\n"),
        (1, CLIENT, b"E0ab\n"),
        (2, CLIENT, b"Q1a\n"),
        (2, SERVER, b"X\n"),
    ]
    capture = traffic(talk, over_udp=over_udp)
    made: list[Answered] = []
    real = Answered.messages
    monkeypatch.setattr(Answered, "messages", lambda self: made.append(self) or real(self))
    found = list(make_query(capture.segments(), "talk && talk_i != 5", plugins))
    lazy = [entry for entry in found if isinstance(entry, LazyEntry)]
    assert (len(found) - len(lazy), len(made)) == (2, 1)  # the stream with the damaged line
    assert lazy[0].plugin == "talk@1.0.0"  # no column says it
    assert len(made) == 2


@pytest.mark.parametrize("cuts", [(), (1,)])
def test_settled_rows_keep_no_packets(plugins: Plugins, monkeypatch: pytest.MonkeyPatch, cuts: Sequence[int]) -> None:
    capture = traffic([(0, CLIENT, b"Q1abc\n"), (0, SERVER, b"R1a\n")], over_udp=True)
    monkeypatch.setattr(Answered, "messages", lambda _: pytest.fail("a message was made"))
    query = make_query(capture.segments(*cuts), "talk", plugins)
    found = [
        row for run in query.runs(("id", "talk_i")) for row in zip(*map(run.column, ("id", "talk_i")), strict=True)
    ]
    assert found[0] == ("s0-0-0", -5)
