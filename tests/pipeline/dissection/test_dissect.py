"""Claims, calls of dissectors, and protocols inside protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api import (
    CLIENT,
    SERVER,
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline import Entry, Plugins
from kubeshark.pipeline.dissection._dissect import MAX_DEPTH
from kubeshark.pipeline.dissectors.web import http1
from tests.core_capture.reference._packets import A, B, udp
from tests.pipeline._plugins import Envelope, Lines, ProbedLines, failure, with_plugins
from tests.pipeline._traffic import GET, MS, OK, Capture, Connection, find, make_query


def talk(question: bytes = b"hello\n", answer: bytes = b"yes\n", port: int = 7000) -> Capture:
    capture = Capture()
    Connection(capture, port).open().ask(question).answer(answer)
    return capture


def protocols(entries: list[Entry]) -> list[str]:
    return [entry.protocol.name for entry in entries if entry.protocol.name != "conn"]


# claims


@pytest.mark.parametrize(
    ("classifier", "is_claimed"),
    [
        (Classifier("tcp", (7000,)), True),
        (Classifier("tcp", (40_000,)), True),  # the client's port will do
        (Classifier("tcp", (7001,)), False),
        (Classifier("udp", (7000,)), False),
        (Classifier("tcp"), False),  # neither port nor bytes says nothing
        (Classifier("tcp", prefix=b"hell"), True),
        (Classifier("tcp", prefix=b"ell", offset=1), True),
        (Classifier("tcp", prefix=b"yes", side="client"), False),
        (Classifier("tcp", prefix=b"yes", side="server"), True),
        (Classifier("tcp", prefix=b"yes"), True),
        (Classifier("tcp", (7000,), prefix=b"no"), False),
        (Classifier("tcp", (7001,), prefix=b"hell"), False),
        (Classifier("tcp", prefix=b"x", offset=9_999), False),
    ],
)
def test_classifiers(classifier: Classifier, is_claimed: bool) -> None:
    with with_plugins(lines=Lines(classifier)) as plugins:
        found = protocols(find(talk(), "", plugins))
    assert found == (["lines"] if is_claimed else ["tcp", "tcp"])


def test_prefixes_are_looked_for_in_the_first_datagram_of_each_side() -> None:
    capture = Capture()
    for payload, ports in (
        (b"", (5000, 6000)),
        (b"ask", (5000, 6000)),
        (b"tell", (6000, 5000)),
        (b"more", (5000, 6000)),
    ):
        capture.add(udp(payload, ports, (A, B) if ports[0] == 5000 else (B, A)))
    for prefix, expected in ((b"tell", [1]), (b"ask", [1]), (b"more", [])):
        lines = Lines(Classifier("udp", prefix=prefix), layer4="udp")
        with with_plugins(lines=lines) as plugins:
            find(capture, "", plugins)
        assert lines.calls == expected


def test_a_declared_match_comes_before_anybodys_probe() -> None:
    first, second = ProbedLines(Verdict.MINE, priority=0), Lines(Classifier("tcp", (7000,)), name="late", priority=200)
    with with_plugins(first=first, second=second) as plugins:
        assert protocols(find(talk(), "", plugins)) == ["late"]
    assert first.probed == []


def test_the_protocol_with_the_lower_priority_number_is_asked_first() -> None:
    high, low = (Lines(Classifier("tcp", (7000,)), name=name, priority=p) for name, p in (("high", 9), ("low", 8)))
    with with_plugins(high=high, low=low) as plugins:
        assert protocols(find(talk(), "", plugins)) == ["low"]
    assert high.calls == []


def test_a_declared_match_is_still_put_to_the_plugins_own_probe() -> None:
    lines = ProbedLines(Verdict.NOT_MINE)
    lines.spec = Lines(Classifier("tcp", (7000,))).spec
    with with_plugins(lines=lines) as plugins:
        assert protocols(find(talk(), "", plugins)) == ["tcp", "tcp"]


def test_a_probe_that_needs_more_than_there_is_gets_nothing() -> None:
    lines = ProbedLines(Verdict.NEED_MORE)
    with with_plugins(lines=lines) as plugins:
        assert protocols(find(talk(), "", plugins)) == ["tcp", "tcp"]
    assert lines.probed == ["hello\n"]


def test_streams_without_payload_are_nobodys() -> None:
    capture = Capture()
    Connection(capture, 7000).open().end(CLIENT)
    lines = ProbedLines(Verdict.MINE)
    with with_plugins(lines=lines) as plugins:
        assert [entry.entry_id.number for entry in find(capture, "", plugins)] == ["conn"]
    assert lines.probed == []


def test_a_failing_probe_is_noted_and_the_next_protocol_is_asked() -> None:
    problems: list[PluginError] = []
    broken, lines = ProbedLines(failure(), priority=1), ProbedLines(Verdict.MINE, name="other", priority=2)
    with with_plugins(broken=broken, lines=lines) as plugins:
        found = list(make_query(talk().segments(), "", plugins, problems))
    assert protocols(found) == ["other"]
    assert problems == [broken.verdict]


def test_a_failing_dissector_loses_its_streams_alone() -> None:
    capture = talk(b"boom\n")
    Connection(capture, 80, 40_001).open().ask().answer()
    problems: list[PluginError] = []
    with with_plugins(lines=Lines(Classifier("tcp", (7000,)), fails_on=b"boom")) as plugins:
        found = list(make_query(capture.segments(), "", plugins, problems))
    assert protocols(found) == ["tcp", "tcp", "http"]  # what it lost is shown raw
    assert [str(problem) for problem in problems] == ["plugin test@1.0.0: no idea"]


def test_a_dissector_of_ours_that_fails_costs_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(stream: Stream) -> list[Message | Handover]:
        if stream.client.port == 40_001:
            raise ValueError("subsection not found")
        return made(stream)

    made = http1._dissect
    monkeypatch.setattr(http1, "_dissect", fails)
    capture = Capture()
    for port in (40_000, 40_001, 40_002):
        Connection(capture, client_port=port).open().ask().lose(SERVER, 5).answer()  # a gap: C leaves it to Python
    with Plugins() as plugins:
        found = list(make_query(capture.segments(), "http", plugins))
        (problem,) = plugins.take_problems()
    assert {entry.src.port for entry in found} == {40_000, 40_002}
    assert (
        problem.message
        == "plugin kubeshark.pipeline.dissectors.web.http1 in dissect: raised ValueError: subsection not found"
    )


def test_one_call_dissects_all_streams_of_a_protocol() -> None:
    capture = Capture()
    for number in range(3):
        Connection(capture, 7000, 40_000 + number).open().ask(b"a\n")
    lines = Lines(Classifier("tcp", (7000,)))
    with with_plugins(lines=lines) as plugins:
        find(capture, "lines", plugins)
    assert lines.calls == [3]


def test_entries_name_the_foreign_plugin_that_dissected_them() -> None:
    with with_plugins(lines=Lines(Classifier("tcp", (7000,)))) as plugins:
        (entry,) = find(talk(), "lines", plugins)
        assert entry.to_dict()["plugin"] == "lines@1.0.0"
    assert "plugin" not in find(talk(GET, OK), "http")[0].to_dict()


# protocols inside protocols


def wrapped(name: bytes, question: bytes, answer: bytes) -> Capture:
    capture = Capture()
    Connection(capture, 7000).open().ask(name + b"\n").answer(b"go\n").ask(question).answer(answer)
    return capture


def test_what_is_handed_over_is_dissected() -> None:
    with with_plugins(envelope=Envelope(Classifier("tcp", (7000,)), name="envelope")) as plugins:
        connection, outer, inner = find(wrapped(b"http", GET, OK), "", plugins)
    assert (outer.protocol.name, inner.protocol.name) == ("envelope", "http")
    assert (inner.get("path"), inner.get("status_code"), inner.get("index")) == ("/a", 200, 1)
    assert inner.raw(MessageKind.REQUEST) == GET
    assert inner.start_ns == outer.start_ns + 2 * MS
    assert connection.variables["conn_l7_detected"] == ["ENVELOPE", "HTTP"]


def test_who_reads_it_may_be_left_open() -> None:
    with with_plugins(envelope=Envelope(Classifier("tcp", (7000,)), name="envelope")) as plugins:
        assert protocols(find(wrapped(b"", GET, OK), "", plugins)) == ["envelope", "http"]


def test_a_forced_protocol_that_nobody_knows_leaves_raw_bytes() -> None:
    with with_plugins(envelope=Envelope(Classifier("tcp", (7000,)), name="envelope")) as plugins:
        assert protocols(find(wrapped(b"nobody", GET, OK), "", plugins)) == ["envelope", "tcp", "tcp"]


def test_envelopes_in_envelopes_end_somewhere() -> None:
    capture = Capture()
    connection = Connection(capture, 7000).open()
    for _ in range(20):
        connection.ask(b"envelope\n").answer(b"go\n")
    with with_plugins(envelope=Envelope(Classifier("tcp", (7000,)), name="envelope")) as plugins:
        found = protocols(find(capture, "", plugins))
    assert found == ["envelope"] * MAX_DEPTH + ["tcp"] * 2 * (20 - MAX_DEPTH)


def test_ids_do_not_depend_on_what_was_asked() -> None:
    with with_plugins(envelope=Envelope(Classifier("tcp", (7000,)), name="envelope")) as plugins:
        everything = {entry.id: entry.protocol.name for entry in find(wrapped(b"http", GET, OK), "", plugins)}
        (alone,) = find(wrapped(b"http", GET, OK), "http", plugins)
    assert everything[alone.id] == "http"


@pytest.mark.parametrize(
    ("marks", "calls"), [((b"go",), [1]), ((b"http", b"absent"), [1]), ((b"absent",), []), ((), [1])]
)
def test_streams_without_a_mark_hand_nothing_over(marks: tuple[bytes, ...], calls: list[int]) -> None:
    envelope = Envelope(Classifier("tcp", (7000,)), name="envelope")
    envelope.spec = replace(envelope.spec, handover_marks=marks)
    with with_plugins(envelope=envelope) as plugins:
        assert len(find(wrapped(b"HTTP", GET, OK.replace(b"hi", b"GO")), "redis", plugins)) == 0
        assert envelope.calls == calls


def test_what_nobody_asked_for_is_not_dissected() -> None:
    lines = Lines(Classifier("tcp", (7000,)))
    with with_plugins(lines=lines) as plugins:
        assert find(talk(), "http", plugins) == []
        assert lines.calls == []
        assert protocols(find(talk(), "lines", plugins)) == ["lines"]
        assert find(talk(), "http || tcp", plugins) == []


def test_messages_of_another_protocol_of_the_same_plugin() -> None:
    class Two(Lines):
        @hookimpl
        def protocols(self) -> Sequence[ProtocolSpec]:
            return (self.spec, replace(self.spec, name="shouted", abbr="SHOUTED", classifiers=(), also=("lines",)))

        @hookimpl
        def dissect(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:
            messages = [self._messages(stream) for stream in streams]
            for message in messages[0]:
                message.protocol = "shouted"
            return messages

    with with_plugins(two=Two(Classifier("tcp", (7000,)))) as plugins:
        (entry,) = find(talk(), "shouted", plugins)
        assert [entry.get("shouted"), entry.get("lines"), entry.get("protocol")] == [True, True, "SHOUTED"]
        assert len(find(talk(), "lines", plugins)) == 1
