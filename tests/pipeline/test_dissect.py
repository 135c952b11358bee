"""Claims, numbers, what is wrong with half a connection, and messages that are in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api import (
    CLIENT,
    SERVER,
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline import Entry
from kubeshark.pipeline._dissect import MAX_DEPTH
from tests.core_capture.reference._packets import A, B, ip, udp
from tests.pipeline._plugins import Envelope, Lines, ProbedLines, failure, with_plugins
from tests.pipeline._traffic import GET, MS, OK, Capture, Connection, dns, find, make_query


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


# numbers and connections


def test_entries_are_numbered_by_their_first_byte_in_each_segment() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    for _ in range(3):
        connection.ask().answer()
    assert [e.id for e in find(capture, "http")] == ["s0-0-0", "s0-0-1", "s0-0-2"]
    cut = find(capture, "http", cuts=[5])  # behind the second request
    assert [(e.id, e.error) for e in cut] == [("s0-0-0", None), ("s0-0-1", None), ("s1-0-0", None)]


def test_ids_do_not_depend_on_the_query() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask(b"GET /b HTTP/1.1\r\n\r\n").answer()
    (alone,) = find(capture, 'path == "/b"')
    assert alone.id in {entry.id for entry in find(capture, "")}
    assert alone.id == "s0-0-1"


def test_the_connection_knows_what_was_in_it() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().end(CLIENT).end(SERVER)
    capture.add(dns(1))
    capture.add(ip(b"\x08\0\0\0\0\1\0\1", 1))  # an echo request has no connection
    found = {entry.entry_id.flow: entry for entry in find(capture, "conn")}
    assert [entry.get("conn_l7_detected") for entry in found.values()] == [["HTTP"], ["DNS"]]
    assert [entry.get("conn_state") for entry in found.values()] == ["closed", "open"]
    assert [entry.get("tcp_conn") for entry in found.values()] == [True, False]
    assert (found[0].start_ns, found[0].entry_id.number) == (capture.segments()[0].flows["first_ns"][0], "conn")


# halves


def half(capture: Capture) -> tuple[str, str]:
    (entry,) = find(capture, "http")
    assert entry.error is not None
    return entry.error.type, entry.error.message.partition(":")[0]


def test_a_reset_ends_a_request() -> None:
    capture = Capture()
    Connection(capture).open().ask().end(SERVER, "R")
    assert half(capture) == ("connection", "Reset")


def test_the_askers_own_reset_is_not_the_answers_fault() -> None:
    capture = Capture()
    Connection(capture).open().ask().end(CLIENT, "R")
    assert half(capture) == ("pair-not-found", "the response was never seen")


def test_a_reset_of_one_stream_of_many() -> None:
    capture = Capture()
    request = b"\0\0\3\1\5\0\0\0\1\x82\x86\x84"  # HEADERS: GET /
    reset = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\4\3\0\0\0\0\1\0\0\0\7"  # SETTINGS, RST_STREAM
    Connection(capture).open().ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + request).answer(reset)
    assert half(capture) == ("connection", "Reset")
    (entry,) = find(capture, "http2")
    assert (entry.get("protocol"), entry.get("http"), entry.get("method")) == ("HTTP", True, "GET")


def test_a_close_without_an_answer() -> None:
    capture = Capture()
    Connection(capture).open().ask().end(SERVER)
    assert half(capture) == ("connection", "CloseWait")


def test_ten_seconds_without_an_answer_are_a_timeout() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask()
    capture.wait(10)
    connection.end(SERVER)
    assert half(capture) == ("timeout", "no response within 10 s")


def test_the_capture_may_end_or_begin_between_the_halves() -> None:
    ended, begun = Capture(), Capture()
    Connection(ended).open().ask()
    assert half(ended) == ("pair-not-found", "the response was never seen")
    Connection(begun).answer()
    assert half(begun) == ("pair-not-found", "the request was never seen")


def test_a_whole_exchange_has_no_error() -> None:
    (entry,) = find(talk(GET, OK, 80), "http")
    assert (entry.error, entry.get("error"), entry.get("error_type")) == (None, False, "")


# messages in doubt


def check_doubt(capture: Capture, reason: str) -> Entry:
    """The entry is there, says why it is in doubt, shows what was read, and answers no filter about it."""
    (entry,) = [e for e in find(capture, "http") if e.error and e.error.type == "dissection"]
    assert entry.error
    assert entry.error.message.startswith(f"http: {reason}")
    document = entry.to_dict()
    half = document["request"] or document["response"]
    assert half
    number = entry.id
    for kfl in ('path == "/a"', "status_code == 200", 'request.headers["host"] == "h"', 'response_body.contains("h")'):
        assert number not in [e.id for e in find(capture, kfl)], kfl
    assert number in [e.id for e in find(capture, 'error_type == "dissection"')]
    return entry


def test_a_message_with_a_gap_inside() -> None:
    capture = Capture()
    body = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n" + b"x" * 10
    Connection(capture).open().ask(body).lose(CLIENT, 20).ask(b"y" * 10)
    entry = check_doubt(capture, "gap: ")
    assert entry.to_dict()["request"]["path"] == "/a"
    assert "method POST" in entry.error.message  # type: ignore[union-attr]


def test_a_message_whose_end_was_never_captured() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nx").end(CLIENT)
    check_doubt(capture, "truncated: ")


def test_what_stands_alone_behind_a_gap_is_a_guess() -> None:
    capture = Capture()
    Connection(capture).open().ask(b"GET /first HTTP/1.1\r\n\r\n").lose(CLIENT, 50).ask()
    check_doubt(capture, "gap: bytes before this message were not captured")


def test_halves_that_found_each_other_behind_a_gap_are_believed() -> None:
    capture = Capture()
    connection = Connection(capture).open().ask(b"GET /first HTTP/1.1\r\n\r\n").answer()
    connection.lose(CLIENT, 50).lose(SERVER, 60).ask().answer()
    (entry,) = find(capture, 'path == "/a" && status_code == 200')
    assert entry.error is None


def test_a_cut_datagram_keeps_its_fields() -> None:
    capture = Capture()
    whole = dns(7)
    capture.add(whole[:-2], original=len(whole))
    (entry,) = find(capture, "dns")
    assert entry.error is not None


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
