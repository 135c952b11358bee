"""Scanners say what dissectors say, on whatever streams: of the samples, of other people, cut, damaged, made up."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import RecordBatch, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.errors import InputError
from kubeshark.extension_api import Classifier, ProtocolSpec
from kubeshark.pipeline.dissection._claim import Claims
from kubeshark.pipeline.dissection._scans import MAX_HEAD, Scanners
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._segments import MemorySegment
from kubeshark.pipeline.reading._streams import FlowStream
from tests.core_capture.reference._packets import RAW, fragments, udp
from tests.pipeline._scanned import assert_scanned_as_dissected, plugins
from tests.pipeline._traffic import Capture, Connection, batch, dns

ROOT = Path(__file__).resolve().parents[3]
CAPTURES = Path(os.environ.get("KUBESHARK_CAPTURES", ROOT.parent / "shared" / "captures")) / "files"
OTHERS = sorted(CAPTURES.glob("*")) if CAPTURES.is_dir() else []
MANY = 4  # test items the captures of other people are dealt to


@cache
def segments(path: Path) -> list[MemorySegment]:
    batches: defaultdict[int, list[RecordBatch]] = defaultdict(list)
    try:
        with open_capture(path) as reader:
            for batch in reader:
                batches[batch.link_type].append(batch)
    except InputError:
        return []
    return [MemorySegment.of(f"s{number}", each, load_core()) for number, each in enumerate(batches.values())]


@pytest.mark.parametrize("name", ["sample.pcapng", "shop.pcapng.zst"])
def test_our_recordings(name: str) -> None:
    counts = assert_scanned_as_dissected(segments(ROOT / "examples" / "captures" / name))
    assert counts["http"] > 5
    assert counts["dns"] > 5


@pytest.mark.skipif(not OTHERS, reason="needs KUBESHARK_CAPTURES: captures of other people, not in this repository")
@pytest.mark.parametrize("share", range(MANY))
def test_captures_of_other_people(share: int) -> None:
    for path in OTHERS[share::MANY]:
        if path.stat().st_size < 2 << 20:
            assert_scanned_as_dissected(segments(path))
            segments.cache_clear()


REQUESTS = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost:  two  words \r\n\r\n",
    b"POST /b?query=1 HTTP/1.1\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\nabc",
    b'POST /g HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"query":"{ a }"}',
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /d HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\n\r\n",
    b"GET  /e HTTP/1.1\r\n\r\n",
    b"GET /f HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    b"\r\n\r\nDELETE /\xc3\xa9 HTTP/1.0\r\n\r\n",
    b"POST /h HTTP/1.1\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: a\n\n",
    b"PUT /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n",
    b"PUT /i HTTP/1.0\r\nhost: h\r\nHOST: i\r\nX: \xff\r\nno colon\r\n: no name\r\nA:\tb\rc \r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 204 No Content\r\nContent-Type: Text/HTML; charset=x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nContent-Length: 5, 5\r\n\r\nabcde",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 099 odd\r\n\r\n",
    b"HTTP/1.1 200  Fine \r\nContent-Type: text/event-stream\r\nContent-Length: 18\r\n\r\ndata: a\n\ndata: b\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\ndata:\r\n4\r\n a\n\n\r\n0\r\n\r\n",
)
TURNS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8
)


@given(TURNS, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_http_made_up(turns: list[tuple[bool, int, int, int]], is_whole: bool, is_mutated: bool) -> None:
    capture = Capture()
    connection = Connection(capture)
    if is_whole:
        connection.open()
    for is_request, which, at, byte in turns:
        data = bytearray(REQUESTS[which] if is_request else RESPONSES[which % len(RESPONSES)])
        if is_mutated and at < len(data):
            data[at] = byte
        cut = at % len(data)
        for piece in (bytes(data[:cut]), bytes(data[cut:])):
            if piece:
                (connection.ask if is_request else connection.answer)(piece)
    assert_scanned_as_dissected(capture.segments())


def test_a_request_whose_body_nobody_asked_for() -> None:
    capture = Capture()
    refused = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
    connection = Connection(capture).open().ask(REQUESTS[11]).answer(refused).ask(REQUESTS[0] * 2).answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 0
    connection = Connection(capture, client_port=40_001).open().ask(REQUESTS[11]).answer(RESPONSES[2])
    connection.ask(b"x" * 40).answer().ask().answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 2


def test_a_connection_older_than_the_capture_is_scanned_if_it_begins_with_a_message() -> None:
    capture = Capture()
    Connection(capture).ask().answer().ask().answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 2
    Connection(capture, client_port=40_001).ask(b"tail of a body" + REQUESTS[0]).answer()
    assert assert_scanned_as_dissected(capture.segments())["http"] == 2


NAMES = (b"\x01a\x04test\x00", b"\x00", b"\x01A\xc0\x0c", b"\x03a.b\x00", b"\x3f" + b"x" * 63 + b"\x00", b"\xc0\x0c")


@given(
    st.lists(
        st.tuples(*map(st.integers, (0, 0), (3, len(NAMES) - 1)), st.booleans(), *map(st.integers, (0, 0), (90, 255))),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_dns_made_up(messages: list[tuple[int, int, bool, int, int]], is_mutated: bool) -> None:
    capture = Capture()
    for number, name, is_answer, at, byte in messages:
        packet = bytearray(dns(number, NAMES[name], answer=is_answer))
        if is_mutated and 28 <= at < len(packet):  # behind the headers of IP and UDP
            packet[at] = byte
        capture.add(bytes(packet))
    assert_scanned_as_dissected(capture.segments(*([1] if len(messages) > 2 else [])))


@pytest.mark.parametrize("lost", [(), (0,), (1,), (2,), (1, 2)])
def test_dns_in_fragments_of_which_some_are_lost(lost: tuple[int, ...]) -> None:
    capture = Capture()
    capture.add(dns(1, NAMES[0], answer=False))
    pieces = fragments(dns(1, NAMES[0], answer=True), 24, 8)
    assert len(pieces) == 3
    for number, piece in enumerate(pieces):
        if number not in lost:
            capture.add(piece)
    assert assert_scanned_as_dissected(capture.segments()).get("dns", 0) <= 1


def test_connections_that_run_through_segments() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    for _ in range(4):
        connection.ask().answer()
    counts = assert_scanned_as_dissected(capture.segments(3, 5, 8))
    assert counts["http"] == 4


PLAIN = REQUESTS[0] + REQUESTS[4] + REQUESTS[2].replace(b"?query", b"?q")  # none that the scanner leaves alone
ANSWERS = RESPONSES[0] + RESPONSES[3] + RESPONSES[9]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 34, 55, 400])
def test_messages_are_scanned_however_packets_cut_them(size: int) -> None:
    """Bytes lie in their packets: a head, a chunk's size or a body may begin in one and end in another."""
    capture = Capture()
    connection = Connection(capture).open()
    for data, send, side in ((PLAIN, connection.ask, 0), (ANSWERS, connection.answer, 1)):
        for at in range(0, len(data), size):
            send(data[at : at + size])
            if at % 3 == 0:  # sent again, with more: only what is new of it counts
                connection.sequence[side] -= len(data[at : at + size])
                send(data[at : at + size] + data[at + size : at + size + 1])
                connection.sequence[side] -= len(data[at + size : at + size + 1])
    assert assert_scanned_as_dissected(capture.segments())["http"] == 3


def test_bodies_stay_in_their_packets() -> None:
    """A summary looks at none of them: copying them was a seventh of its time."""
    capture = Capture()
    connection = Connection(capture).open().ask()
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    for _ in range(9):
        connection.answer(b"b" * 1_000)
    [segment] = capture.segments()
    native = pytest.importorskip(
        "kubeshark.core_capture.native._streams", reason="needs the C core: apt-get install gcc"
    )
    streams = native.Streams(segment.decoded, np.array([0]))
    laid_out = streams._sides["is_laid_out"]
    assert streams.assembled().scan([("http", np.array([0]))]).taken.all()
    assert not laid_out.any()
    [stream] = streams.assembled()
    assert stream.directions is not None
    assert laid_out.all()
    assert max(stream.directions, key=lambda side: len(side.data)).data.tobytes().endswith(b"\r\n\r\n" + b"b" * 9_000)


BYTES = st.lists(st.sampled_from(b"\x00\x16A"), max_size=20).map(bytes)
CLASSIFIERS = st.builds(
    Classifier,
    st.sampled_from(["tcp", "udp"]),
    offset=st.integers(0, 20),
    prefix=BYTES,
    side=st.sampled_from(["client", "server", "any"]),
)
ALL_BUILT_IN = [each for binding in plugins().protocols.all for each in binding.protocol.classifiers]
BUILT_IN = [each for each in ALL_BUILT_IN if each.prefix]
PORTS = (7, *sorted({each.ports[0] for each in ALL_BUILT_IN if each.ports}))


def binding(classifier: Classifier) -> Binding:
    spec = ProtocolSpec("made-up", "", "", layer4=classifier.transport, classifiers=(classifier,))
    return Binding(spec, "made-up", print, None, is_builtin=False)


def heads(classifiers: list[Classifier]) -> st.SearchStrategy[bytes]:
    """First bytes that are those of one or two classifiers, or nearly."""

    def head(named: list[Classifier], filler: int, cut: int, wrong: int | None, behind: bytes) -> bytes:
        written = bytearray([filler]) * max(each.offset + len(each.prefix) for each in named)
        for each in named:
            written[each.offset : each.offset + len(each.prefix)] = each.prefix
        if wrong is not None and written:
            written[wrong % len(written)] ^= 1
        return bytes(written[: len(written) - cut]) + behind

    named = st.lists(st.sampled_from(classifiers), min_size=1, max_size=2)
    often_none = st.none() | st.none() | st.integers(0, 255)
    return st.builds(head, named, st.sampled_from(b"\x00\x16x"), st.sampled_from((0, 0, 1, 2)), often_none, BYTES)


@given(st.data(), st.lists(CLASSIFIERS, max_size=6), st.sampled_from(["tcp", "udp"]))
@settings(max_examples=300, deadline=None)
def test_a_scanner_is_asked_where_its_protocol_would_be_the_first(
    data: st.DataObject, made_up: list[Classifier], transport: str
) -> None:
    before, behind = made_up[::2], made_up[1::2]
    bindings = [*map(binding, before), *plugins().protocols.all, *map(binding, behind)]
    content = heads([each for each in (*made_up, *BUILT_IN) if each.transport == transport])
    capture = Capture()
    for client_port in range(40_000, 40_000 + data.draw(st.integers(1, 4))):
        port = data.draw(st.sampled_from(PORTS))
        asked, answered = data.draw(content), data.draw(content)
        if transport == "tcp":
            connection = Connection(capture, port, client_port).open()
            for send, said in ((connection.ask, asked), (connection.answer, answered)):
                if said:
                    send(said)
        else:
            capture.add(udp(asked, (client_port, port)))
    core = load_core()
    decoded = core.decode(batch(capture.records).data, RAW)
    streams = core.assemble(decoded, np.arange(len(decoded.flows)))
    claims = Claims(bindings, [])
    (probed, *_) = (
        place
        for place, each in enumerate(bindings)
        if each.probe and transport in {each.protocol.layer4, *(one.transport for one in each.protocol.classifiers)}
    )
    expected = [min(claims._classified(each), default=probed) for each in FlowStream.all_of(decoded, list(streams))]
    assert Scanners(bindings)._first_asked(streams).tolist() == expected


def test_nobody_is_scanned_for_where_a_classifier_looks_too_far() -> None:
    capture = Capture()
    Connection(capture).open().ask()
    core = load_core()
    decoded = core.decode(batch(capture.records).data, RAW)
    streams = core.assemble(decoded, np.arange(1))
    for size, is_asked in ((MAX_HEAD, True), (MAX_HEAD + 1, False)):
        bindings = [*plugins().protocols.all, binding(Classifier("tcp", prefix=b"x" * size))]
        places = Scanners(bindings)._first_asked(streams).tolist()
        assert (places[0] < len(bindings)) == is_asked
