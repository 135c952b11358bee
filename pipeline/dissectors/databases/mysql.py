"""MySQL and MariaDB: the classic client/server protocol, on any port, also from the middle of a connection.

An entry is a command with its reply, or a login with all of its authentication; the server's greeting is an event.
`_mysql_framing` finds packets, commands and replies, `_mysql_session` knows what they refer to, `_mysql_document`
builds documents, `_mysql_values` reads rows, `_mysql_compression` unwraps the compressed protocol.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

from kubeshark.extension_api import (
    CarvedSide,
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    rest_of,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import Arrival, by_direction
from kubeshark.pipeline.dissectors.databases._mysql_compression import inflated, is_compressed
from kubeshark.pipeline.dissectors.databases._mysql_document import (
    CLIENT_COMPRESS,
    CLIENT_SSL,
    CLIENT_ZSTD,
    UNKNOWN,
    Asked,
    Failure,
    Login,
    failure,
    greeting_detail,
    login,
    request_detail,
    response_detail,
)
from kubeshark.pipeline.dissectors.databases._mysql_framing import (
    COMMANDS,
    FULL_PACKET,
    HEADER_BYTES,
    PREPARE,
    Exchange,
    chain_at,
    commands,
    is_error,
    is_greeting,
    is_login,
    looks_like_statement,
    proxy_end,
    replies,
    resume,
)
from kubeshark.pipeline.dissectors.databases._mysql_session import SSL_REQUEST_BYTES, Connection, Statements

__all__ = ["MYSQL", "dissect", "probe", "protocols"]

PORT = 3306
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10

MYSQL = ProtocolSpec(
    name="mysql",
    abbr="MYSQL",
    long_name="MySQL Client/Server Protocol",
    version="10",
    ports=(PORT,),
    priority=6,
    background="#00758f",
    foreground="#ffffff",
    reference="https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html",
    matcher="fifo",
    hands_over=("tlsx", "mysql"),
    classifiers=(
        Classifier("tcp", (PORT,)),
        *(Classifier("tcp", offset=3, prefix=prefix) for prefix in (b"\0\x0a", b"\0\x03", b"\0\x16")),
    ),  # a greeting, a query, a preparation: asked before probes that look for their protocol in the middle of streams
    variables={
        "mysql_command": "string",
        "mysql_query": "string",
        "mysql_database": "string",
        "mysql_statement_id": "int",
        "mysql_success": "bool",
        "mysql_error_code": "int",
        "mysql_error_message": "string",
        "mysql_request_size": "int",
        "mysql_response_size": "int",
        "mysql_total_size": "int",
    },
)


def _is_mysql(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    for one, other in (heads, heads[::-1]):
        one = one[proxy_end(one) :]
        if is_greeting(other) or _is_certain_client(one) or _is_certain_server(other) or is_compressed(one, other):
            return True
    if PORT not in (stream.client.port, stream.server.port):
        return False
    return any(_is_likely(bytes(side.data[:RESYNC_BYTES]), way) for way, side in enumerate(stream.sides))


def _is_certain_client(head: bytes) -> bool:
    """Say whether the first packets hold a login or a statement: nothing else looks like that."""
    if is_login(head):
        return True
    at = 0
    for _ in range(16):  # pings and the like before the first statement
        if looks_like_statement(head, at):
            return True
        length = int.from_bytes(head[at : at + 3], "little")
        if len(head) < at + 5 or head[at + 3] or not 0 < length < 64 or head[at + 4] not in COMMANDS:
            return False
        at += HEADER_BYTES + length
    return False


_RESULT = re.compile(rb"(?s)\x01\0\0\x01[\x01-\xfa]..\0\x02\x03def|..\0\x01\xff[\s\S][\x03-\x13]#[0-9A-Z]{5}[ -~]")
_FIRST_ERROR = re.compile(rb"(?s)(.)\0\0\0\xff[\s\S][\x03-\x13](?:#[0-9A-Z]{5})?[ -~]{8,}\Z")


def _is_certain_server(head: bytes) -> bool:
    """Say whether a result set, an error with SQLSTATE, or the refusal of a connection begins here."""
    refused = _FIRST_ERROR.match(head)
    return _RESULT.match(head) is not None or (refused is not None and refused[1][0] + HEADER_BYTES == len(head))


def _is_likely(head: bytes, side: int) -> bool:
    """Say whether bytes on MySQL's own port may be its."""
    return len(head) > HEADER_BYTES and (chain_at(head, 0, side) > 0 or resume(head, 0, side) < len(head))


def _messages(stream: Stream) -> Iterator[Message | Handover]:
    client = _asking_side(stream)
    asking, answering = Wire(stream.sides[client]), Wire(stream.sides[1 - client])
    start = proxy_end(asking.data)
    if is_compressed(asking.data[start : start + PROBE_BYTES], answering.data[:PROBE_BYTES]):
        yield _unwrapped(stream, client, (start, 0))
        return
    handover = _switch(stream, client, asking, answering, start)
    connection = Connection(asking, _login_before(stream.sides[client]))
    asked = [(exchange, connection.asked(exchange)) for exchange in commands(asking, start)]
    long_commands = {exchange.next_sequence for exchange, _ in asked if exchange.length == FULL_PACKET}
    arrival = Arrival(stream)

    def begins(at: int, sequence: int) -> bool:
        before = max(0, at - 1)
        return sequence in long_commands and arrival.turn(1 - client, at) > arrival.turn(1 - client, before)

    answers = list(replies(answering, begins))
    yield from _exchanges(connection, asked, answers, asking, answering, arrival, client)
    if handover:
        yield handover


def _asking_side(stream: Stream) -> int:
    """Return which side is the client: a capture that begins midway may have guessed wrongly."""
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    for client, head in enumerate(heads):
        if is_greeting(heads[1 - client]) or _is_certain_client(head[proxy_end(head) :]):
            return client
    return 1 if _is_certain_server(heads[0]) and not _is_certain_server(heads[1]) else 0


def _switch(stream: Stream, client: int, asking: Wire, answering: Wire, start: int) -> Handover | None:
    """Cut both sides where the connection goes on encrypted or compressed; return what goes on there."""
    data = asking.data
    if not is_login(data, start) or asking.gap_in(start, start + 36):
        return None
    end = start + HEADER_BYTES + int.from_bytes(data[start : start + 3], "little")
    capabilities = int.from_bytes(data[start + 4 : start + 8], "little")
    greeting_end = 0
    if is_greeting(answering.data):
        greeting_end = HEADER_BYTES + int.from_bytes(answering.data[:3], "little")
    if capabilities & CLIENT_SSL and end - start == HEADER_BYTES + SSL_REQUEST_BYTES:
        asking.data, answering.data = data[:end], answering.data[:greeting_end]
        rest = by_direction(client, rest_of(stream.sides[client], end), rest_of(stream.sides[1 - client], greeting_end))
        return Handover(rest, "tlsx")
    if capabilities & (CLIENT_COMPRESS | CLIENT_ZSTD):
        return _compression(stream, client, asking, answering, start)
    return None


def _compression(stream: Stream, client: int, asking: Wire, answering: Wire, start: int) -> Handover | None:
    """Cut both sides behind the login, if frames follow."""
    login_end = next((exchange.end for exchange in commands(asking, start)), 0)
    answer = [exchange for exchange in _first_two(answering) if exchange.sequence]
    login_answer = answer[0].end if answer else len(answering.data)
    framed = [at for at in _login_ends(asking, start, login_end) if is_compressed(asking.data[at:][:PROBE_BYTES], b"")]
    if not framed:
        return None
    handover = _unwrapped(stream, client, (framed[0], _frames_start(answering, login_answer)))
    asking.data = asking.data[: framed[0]]
    answering.data = answering.data[: _frames_start(answering, login_answer)]
    return handover


def _login_ends(wire: Wire, start: int, end: int) -> Iterator[int]:
    """Return where the packets of a login end: frames may begin behind each."""
    at = start
    while at + HEADER_BYTES <= min(end, len(wire.data)):
        at += HEADER_BYTES + int.from_bytes(wire.data[at : at + 3], "little")
        yield at


def _first_two(wire: Wire) -> list[Exchange]:
    found = replies(wire, lambda _at, _sequence: False)
    return [exchange for exchange, _ in zip(found, range(2), strict=False)]


def _frames_start(wire: Wire, limit: int) -> int:
    """Return where the login's answer ends: behind its OK packet."""
    at, data = 0, wire.data
    while at + HEADER_BYTES < min(limit, len(data)):
        length = int.from_bytes(data[at : at + 3], "little")
        first, sequence = data[at + 4], data[at + 3]
        at += HEADER_BYTES + length
        if sequence and first in (0x00, 0xFF):
            break
    return min(at, len(data))


def _unwrapped(stream: Stream, client: int, places: tuple[int, int]) -> Handover:
    rest = inflated(stream.sides[client], places[0]), inflated(stream.sides[1 - client], places[1])
    return Handover(by_direction(client, *rest), MYSQL.flag)


def _login_before(side: StreamSide) -> Login:
    """Return the login that stands before the frames whose content this side is."""
    if not isinstance(side, CarvedSide) or not side.pieces:
        return Login()
    frames = side.pieces[0].origin
    before = bytes(side.base.data[:frames])
    start = proxy_end(before)
    end = start + HEADER_BYTES + int.from_bytes(before[start : start + 3], "little")
    is_whole = is_login(before, start) and end <= frames and not any(gap < end for gap, _, _ in side.base.gaps[:1])
    return login(before[start + HEADER_BYTES : end]) if is_whole else Login()


_ONE_WAY = frozenset((0x01, 0x18, 0x19, UNKNOWN))


def _exchanges(
    connection: Connection,
    asked: Sequence[tuple[Exchange, Asked]],
    answers: Sequence[Exchange],
    asking: Wire,
    answering: Wire,
    arrival: Arrival,
    client: int,
) -> Iterator[Message]:
    """Go through both sides in the order they spoke: the n-th reply answers the n-th command that has one."""
    events = [(arrival.turn(client, exchange.start), 0, at) for at, (exchange, _) in enumerate(asked)]
    events += ((arrival.turn(1 - client, exchange.start), 1, at) for at, exchange in enumerate(answers))
    waiting: deque[int] = deque()
    answered: dict[int, Exchange] = {}
    questions: dict[int, int] = {}
    for _, side, at in sorted(events):
        if side == 0:
            if not _is_one_way(asked[at][1]):
                waiting.append(at)
        elif waiting and answers[at].is_packet and not _is_unasked(answers[at]):
            questions[at] = waiting.popleft()
            answered[questions[at]] = answers[at]
    statements = Statements(asking)
    for at, (exchange, question) in enumerate(asked):
        statements.bind(exchange, question)
        reply = answered.get(at)
        if reply:
            statements.learn(question, reply, answering)
        connection.follow(question, is_refused=partial(_is_refused, reply, answering))
        yield _request(exchange, question, asking, client)
    for at, answer in enumerate(answers):
        if _is_unasked(answer):
            yield _event(answer, answering, 1 - client)
        else:
            yield _response(answer, asked[questions[at]][1] if at in questions else None, answering, 1 - client)


def _is_refused(reply: Exchange | None, wire: Wire) -> bool:
    return reply is not None and _failure(reply, wire) is not None


def _is_one_way(asked: Asked) -> bool:
    return asked.code in _ONE_WAY or asked.name == "SSLREQUEST"


def _is_unasked(answer: Exchange) -> bool:
    """Say whether this is the greeting, or an error that ends a connection from the server's side."""
    return answer.sequence == 0 and answer.is_packet and answer.length > 0


def _request(exchange: Exchange, asked: Asked, wire: Wire, direction: int) -> Message:
    fields: dict[str, Value] = {
        "mysql_command": asked.name,
        "mysql_query": asked.query,
        "mysql_database": asked.database,
        "mysql_request_size": exchange.end - exchange.start,
    }
    if asked.statement_id:
        fields["mysql_statement_id"] = asked.statement_id
    if _is_one_way(asked) and not exchange.error:
        fields["mysql_success"] = True  # nobody says otherwise: no failure that a filter should find
    return Message(
        MessageKind.REQUEST,
        direction,
        exchange.start,
        exchange.end,
        fields=fields,
        one_way=_is_one_way(asked),
        error=exchange.error,
        detail=partial(request_detail, wire, exchange, asked),
    )


def _response(exchange: Exchange, asked: Asked | None, wire: Wire, direction: int) -> Message:
    failed = _failure(exchange, wire)
    fields: dict[str, Value] = {
        "mysql_success": failed is None,
        "mysql_error_code": failed.code if failed else 0,
        "mysql_error_message": failed.message if failed else "",
        "mysql_response_size": exchange.end - exchange.start,
    }
    if asked and asked.code == PREPARE and asked.statement_id:
        fields["mysql_statement_id"] = asked.statement_id
    return Message(
        MessageKind.RESPONSE,
        direction,
        exchange.start,
        exchange.end,
        fields=fields,
        error=exchange.error,
        detail=partial(response_detail, wire, exchange, asked, failed),
    )


def _failure(exchange: Exchange, wire: Wire) -> Failure | None:
    """Return the error that a reply is or ends with; MariaDB's progress reports (0xffff) are none."""
    if not exchange.is_packet:
        return None
    for at in (exchange.start, exchange.last):
        if is_error(wire.data, at) and wire.data[at + 5 : at + 7] != b"\xff\xff":
            length = int.from_bytes(wire.data[at : at + 3], "little")
            return failure(wire.captured(at + HEADER_BYTES, min(at + HEADER_BYTES + length, exchange.end)))
    return None


def _event(exchange: Exchange, wire: Wire, direction: int) -> Message:
    payload = wire.captured(exchange.start + HEADER_BYTES, exchange.end)
    fields: dict[str, Value] = {
        "mysql_command": "HANDSHAKE",
        "mysql_success": True,
        "mysql_response_size": exchange.end - exchange.start,
    }
    if payload[:1] == b"\xff":
        failed = failure(payload)
        fields |= {
            "mysql_command": "ERR",
            "mysql_success": False,
            "mysql_error_code": failed.code,
            "mysql_error_message": failed.message,
        }
    return Message(
        MessageKind.EVENT,
        direction,
        exchange.start,
        exchange.end,
        fields=fields,
        error=exchange.error,
        detail=partial(greeting_detail, payload),
    )


protocols, probe, dissect = one_protocol(MYSQL, _is_mysql, _messages)
