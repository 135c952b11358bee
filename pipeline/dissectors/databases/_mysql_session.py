"""What a MySQL connection remembers: its database and capabilities, and its prepared statements."""

from __future__ import annotations

from collections.abc import Callable

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._mysql_document import (
    CLIENT_QUERY_ATTRIBUTES,
    LOGIN,
    UNKNOWN,
    Asked,
    Login,
    Statement,
    bound_types,
    changed_database,
    login,
    prepared,
    statement_text,
)
from kubeshark.pipeline.dissectors.databases._mysql_framing import (
    CHANGE_USER,
    COMMANDS,
    EXECUTE,
    FETCH,
    HEADER_BYTES,
    LONG_DATA,
    PREPARE,
    QUERY,
    Exchange,
    is_login,
    payloads,
)

__all__ = ["SSL_REQUEST_BYTES", "Connection", "Statements"]

SSL_REQUEST_BYTES = 32
"""A login cut short behind its flags asks for TLS."""
LONG_DATA_BYTES = 7
"""Of COM_STMT_SEND_LONG_DATA before the data: the command, its statement and parameter."""
MAX_STATEMENTS = 10_000
"""Prepared statements kept of one connection."""
LAST_STATEMENT = 0xFFFFFFFF
"""MariaDB: the statement prepared last, whose id the client does not know yet."""


class Connection:
    """What earlier commands say about later ones: which database, and which capabilities."""

    def __init__(self, wire: Wire, before: Login) -> None:
        """`before`: the login that is not among these bytes; an empty one if there is none."""
        self._wire = wire
        self._database = before.database
        self._has_attributes = _has_attributes(before)

    def asked(self, exchange: Exchange) -> Asked:
        """Say what a command means, as far as it does so itself; `Statements` and `follow` add the rest."""
        wire, start = self._wire, exchange.start
        if not exchange.is_packet:
            return Asked(UNKNOWN, "")
        if is_login(wire.data, start):
            return self._login(exchange)
        if exchange.sequence:
            return Asked(UNKNOWN, "")
        code = wire.data[start + 4] if exchange.length and start + 4 < len(wire.data) else -1
        if code not in COMMANDS:
            return Asked(UNKNOWN, "")
        asked = Asked(code, COMMANDS[code], has_attributes=self._has_attributes)
        if code in (QUERY, PREPARE):
            payload = next(payloads(wire, start, exchange.end), b"")
            asked.query = statement_text(payload, has_attributes=self._has_attributes and code == QUERY)
        elif code == 0x02:
            asked.chosen = text(next(payloads(wire, start, exchange.end), b"")[1:])
        elif code == CHANGE_USER:
            asked.chosen = changed_database(next(payloads(wire, start, exchange.end), b""))
        elif code in _WITH_STATEMENT:
            asked.statement_id = int.from_bytes(wire.captured(start + 5, min(start + 9, exchange.end)), "little")
        return asked

    def follow(self, asked: Asked, is_refused: Callable[[], bool]) -> None:
        """Say which database a command is for: the one it asks for, where later ones go on unless it was refused."""
        if asked.code in (QUERY, EXECUTE) and asked.query[:4].upper() == "USE ":
            asked.chosen = asked.query[4:].strip(" ;`\r\n\t")
        if asked.chosen is None:
            asked.database = self._database
            return
        asked.database = asked.chosen
        if not is_refused():
            self._database = asked.chosen

    def _login(self, exchange: Exchange) -> Asked:
        payload = next(payloads(self._wire, exchange.start, exchange.end), b"")
        if len(payload) == SSL_REQUEST_BYTES:
            return Asked(LOGIN, "SSLREQUEST")
        found = login(payload)
        self._has_attributes = _has_attributes(found)
        return Asked(LOGIN, "LOGIN", chosen=found.database)


def _has_attributes(found: Login) -> bool:
    return bool(found.capabilities & CLIENT_QUERY_ATTRIBUTES)


class Statements:
    """The prepared statements of a connection, by id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._statements: dict[int, Statement] = {}

    def bind(self, exchange: Exchange, asked: Asked) -> None:
        """Find the statement that a command runs; keep what it says about its parameters."""
        if asked.code not in _WITH_STATEMENT:
            return
        statement = self._statements.get(asked.statement_id)
        if asked.statement_id == LAST_STATEMENT and self._statements:
            statement = next(reversed(self._statements.values()))
        if statement is None:
            return
        asked.statement, asked.query, asked.types = statement, statement.query, statement.types
        if asked.code == EXECUTE:
            asked.long_bytes, statement.long_bytes = statement.long_bytes, {}
            if statement.parameters > 0:
                payload = next(payloads(self._wire, exchange.start, exchange.end), b"")
                statement.types = bound_types(payload, asked)
        elif asked.code == LONG_DATA:
            head = self._wire.captured(exchange.start + 9, min(exchange.start + 11, exchange.end))
            parameter = int.from_bytes(head, "little")
            if parameter < statement.parameters:
                heads = HEADER_BYTES * exchange.next_sequence + LONG_DATA_BYTES
                size = max(0, exchange.end - exchange.start - heads)
                statement.long_bytes[parameter] = statement.long_bytes.get(parameter, 0) + size
        elif asked.code == FETCH:
            asked.executed = statement.executed
        elif asked.code == 0x1A:
            statement.long_bytes = {}
        elif asked.code == 0x19:
            self._statements.pop(asked.statement_id, None)

    def learn(self, asked: Asked, answer: Exchange, wire: Wire) -> None:
        """Keep what the answer to a preparation says, and where the answer to an execution is."""
        if asked.code == EXECUTE and asked.statement and not answer.error:
            asked.statement.executed = answer
        if asked.code != PREPARE:
            return
        found = prepared(wire.captured(answer.start + 4, min(answer.end, answer.start + 16)))
        if found and len(self._statements) < MAX_STATEMENTS:
            asked.statement_id = found[0]
            self._statements.pop(found[0], None)
            self._statements[found[0]] = Statement(asked.query, found[1])


_WITH_STATEMENT = frozenset((EXECUTE, LONG_DATA, 0x19, 0x1A, FETCH, 0xFA))
