"""The scanner of HTTP/2 says what its dissector says: of made-up, cut and damaged connections, or their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hpack import Encoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._http2_frames import PREFACE, FrameType
from tests.pipeline._scanned import assert_filtered_as_dissected, assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection

Headers = Sequence[tuple[str, str]]

GET = ((":method", "GET"), (":scheme", "http"), (":path", "/a?b=1"), (":authority", "h"), ("user-agent", "x" * 30))
CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/demo.Greeter/Say"),
    (":authority", "h:1"),
    ("content-type", "application/grpc+proto"),
    ("te", "trailers"),
)
POST = ((":method", "POST"), (":path", "/j"), ("host", "other"), ("content-type", "application/json; charset=x"))
REQUESTS: tuple[Headers, ...] = (
    GET,
    CALL,
    POST,
    (*POST, ("content-encoding", "gzip")),
    ((":method", "GET"), (":path", "/graphql?query={a}"), (":authority", "")),
    ((":method", "CONNECT"), (":authority", "h:443")),
    ((":path", "/no/method"), ("x", "y"), ("x", "caf\xe9")),
    ((":method", "PUT"), (":path", "/twice"), (":path", "/second"), (":authority", "h"), ("content-type", "")),
    ((":status", "200"), ("odd", "")),
    (("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), (":method", "GET"), (":path", "/late")),
)
RESPONSES: tuple[Headers, ...] = (
    ((":status", "200"), ("content-type", "Text/HTML; charset=utf-8"), ("date", "today")),
    ((":status", "200"), ("content-type", "application/grpc")),
    ((":status", "200"), ("grpc-status", "5"), ("grpc-message", "not%20found")),
    ((":status", "100"),),
    ((":status", "103"), ("link", "</style.css>")),
    ((":status", "12x"),),
    (("grpc-status", "0"),),
    (("grpc-status", ""), ("grpc-message", "late"), ("x-trailer", "1")),
    (("grpc-status", "14"), ("grpc-status", "2"), ("grpc-message", "")),
    (("server", "nameless"),),
)
BODIES = (
    b"",
    b"hello",
    b'{"query":"{ a }"}',
    b'{"que',
    b'ry":"{ a }"}',
    b'{"operationName":1}',
    b"\0\0\0\0\x02\x08\x01",
    b'{"persisted',
    b'Query":1}',
    b"x" * 300,
)


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


@dataclass
class Sides:
    """What both sides of a connection say; `huffman` chooses how header strings are coded."""

    huffman: bool = True
    encoders: tuple[Encoder, Encoder] = field(default_factory=lambda: (Encoder(), Encoder()))

    def headers(self, side: int, stream: int, fields: Headers, flags: int = 4, extra: bytes = b"") -> bytes:
        block = self.encoders[side].encode([(name, value.encode("latin-1")) for name, value in fields], self.huffman)
        return frame(FrameType.HEADERS, flags, stream, extra + block)

    def turn(self, side: int, action: int, which: int, stream: int, *, ends: bool) -> bytes:
        stream, end = stream * 2 + 1, int(ends)
        fields = (REQUESTS, RESPONSES)[side][which]
        match action:
            case 0 | 1 | 2 | 3:
                return self.headers(side, stream, fields, 4 | end)
            case 4 | 5 | 6:
                return frame(FrameType.DATA, end, stream, BODIES[which])
            case 7:
                return frame(FrameType.DATA, 8 | end, stream, b"\x02" + BODIES[which] + b"\0\0")
            case 8:
                return self.headers(side, stream, fields, 0x24 | end, b"\0\0\0\0\x10")
            case 9:
                whole = self.headers(side, stream, fields, end)
                return whole + frame(FrameType.CONTINUATION, 4, stream)
            case 10:
                return frame(FrameType.RST_STREAM, 0, stream, b"\0\0\0\x08")
            case 11:
                return frame(FrameType.GOAWAY, 0, 0, b"\0\0\0\1\0\0\0" + bytes((which,)))
            case 12:
                return frame(FrameType.SETTINGS, 0, 0, b"\0\3\0\0\0d") + frame(FrameType.PING, 0, 0, bytes(8))
            case 13:
                return frame(FrameType.WINDOW_UPDATE, 0, stream, b"\0\0\1\0") + frame(2, 0, stream, bytes(5))
            case 14:
                return frame(FrameType.PUSH_PROMISE, 4, stream, b"\0\0\0\2" + self.encoders[side].encode(GET))
            case _:
                return frame(0x20 + which, 0, stream, b"extension")


TURN = st.tuples(
    st.integers(0, 1), st.integers(0, 15), st.integers(0, 9), st.integers(0, 3), st.booleans(), st.integers(0, 90)
)
TURNS = st.lists(TURN, min_size=1, max_size=12)


def converse(
    turns: list[tuple[int, int, int, int, bool, int]], *, skipped: int = 0, huffman: bool = True, byte: int = -1
) -> Capture:
    """Write a connection without its first turns; each is cut at its last number, or a byte is set there."""
    capture, sides = Capture(), Sides(huffman)
    connection = Connection(capture, port=8081)
    if not skipped:
        connection.open().ask(PREFACE + frame(FrameType.SETTINGS, 0, 0)).answer(frame(FrameType.SETTINGS, 0, 0))
    for number, (side, action, which, stream, ends, at) in enumerate(turns):
        data = bytearray(sides.turn(side, action, which, stream, ends=ends))
        if number < skipped:
            continue
        if byte >= 0 and at < len(data):
            data[at] = byte
        cut = at % len(data)
        for piece in (bytes(data[:cut]), bytes(data[cut:])):
            if piece:
                (connection.answer if side else connection.ask)(piece)
    return capture


@given(TURNS, st.integers(0, 3), st.booleans(), st.sampled_from((-1, -1, 0, 1, 0x82, 0xFF)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(turns: list[tuple[int, int, int, int, bool, int]], skipped: int, huffman: bool, byte: int) -> None:
    capture = converse(turns, skipped=skipped, huffman=huffman, byte=byte)
    if capture.records:
        assert_scanned_as_dissected(capture.segments())


PLAIN = [
    (0, 0, 0, 0, True, 3),
    (1, 0, 3, 0, False, 0),  # 100, then 200 with a body
    (1, 0, 0, 0, False, 5),
    (1, 4, 1, 0, True, 9),
    (0, 0, 1, 1, False, 0),  # gRPC with trailers
    (0, 4, 6, 1, True, 0),
    (1, 8, 1, 1, False, 0),
    (1, 7, 6, 1, False, 2),
    (1, 0, 8, 1, True, 0),
    (0, 0, 2, 2, False, 0),  # JSON that is no GraphQL
    (0, 4, 3, 2, False, 0),
    (0, 4, 5, 2, True, 0),
    (1, 0, 5, 2, False, 0),
    (1, 10, 0, 2, False, 0),
    (1, 11, 0, 0, False, 0),
]


def test_plain_connections_are_taken() -> None:
    for huffman in (False, True):
        counts = assert_scanned_as_dissected(converse(PLAIN, huffman=huffman).segments())
        assert counts == {"http2": 2, "grpc": 1}


def test_a_response_that_the_end_of_the_connection_cuts_off_is_taken() -> None:
    capture, sides = Capture(), Sides()
    connection = Connection(capture, port=8081).open().ask(PREFACE + sides.headers(0, 1, GET, 5))
    connection.answer(
        sides.headers(1, 1, (*RESPONSES[0], ("content-length", "9"))) + frame(FrameType.DATA, 0, 1, b"half")
    )
    connection.end(1).end(0)
    assert assert_scanned_as_dissected(capture.segments()) == {"http2": 1}
    assert assert_filtered_as_dissected(capture.segments(), 'error_type == "connection" && status_code == 200') == 1


def test_connections_are_taken_from_their_middle() -> None:
    turns = [*PLAIN, (0, 0, 1, 3, True, 0), (1, 0, 2, 3, True, 0)]
    for skipped in (1, 4, 5):
        counts = assert_scanned_as_dissected(converse(turns, skipped=skipped).segments())
        assert counts["grpc"] == 2
        assert counts["http2"] == (2 if skipped < 4 else 1)


def test_filters_decide_by_protocol() -> None:
    """gRPC is HTTP/2's, and HTTP's; its variables are nobody else's."""
    segments = converse(PLAIN).segments()
    expected = {
        "http": 3,
        "http2": 3,
        "grpc": 1,
        "http2 && !grpc": 2,
        "gql || redis": 0,
        'protocol == "GRPC"': 1,
        "grpc_status >= 0": 1,
        "grpc_status == -1 && http": 2,
        'grpc_method == "Say" && status_code == 200': 1,
        'http && grpc_method == ""': 2,
    }
    assert {kfl: assert_filtered_as_dissected(segments, kfl) for kfl in expected} == expected


def test_graphql_is_the_dissectors() -> None:
    for body in ((0, 4, 2, 0, True, 0),), ((0, 4, 3, 0, False, 0), (0, 4, 4, 0, True, 0)):
        assert not assert_scanned_as_dissected(converse([(0, 0, 2, 0, False, 0), *body]).segments())
    assert not assert_scanned_as_dissected(converse([(0, 0, 4, 0, True, 0)]).segments())


def test_every_huffman_code_and_a_table_that_forgets() -> None:
    """64 KiB of entries, then one that was forgotten: the dissector calls it unknown."""
    capture, sides = Capture(), Sides()
    sides.encoders[0].header_table_size = 1 << 20
    connection = Connection(capture, port=8081).open().ask(PREFACE)
    every = bytes(range(256)).decode("latin-1")
    for number in range(60):
        fields = (*GET[:3], (":authority", every), (f"x-{number}", every * 5), (f"y-{number}", f"{number}" * 20))
        connection.ask(sides.headers(0, 2 * number + 1, fields, 5))
    connection.ask(sides.headers(0, 201, (*GET[:3], ("x-0", every * 5), ("x-59", every * 5)), 5))
    connection.ask(sides.headers(0, 203, (*GET[:2], (":path", "/end"), (":authority", every)), 5))
    assert assert_scanned_as_dissected(capture.segments())["http2"] == 62


def test_many_streams_at_once() -> None:
    capture, sides = Capture(), Sides()
    connection = Connection(capture, port=8081).open().ask(PREFACE)
    for stream in range(1, 601, 2):
        connection.ask(sides.headers(0, stream, CALL))
    for stream in range(599, 0, -2):
        connection.ask(frame(FrameType.DATA, 1, stream, BODIES[6]))
        connection.answer(sides.headers(1, stream, RESPONSES[1]))
    for stream in range(1, 601, 2):
        connection.answer(sides.headers(1, stream, RESPONSES[6], 5))
    assert assert_scanned_as_dissected(capture.segments())["grpc"] == 300
