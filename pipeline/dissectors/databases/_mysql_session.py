"""What a MySQL connection remembers: its database and capabilities, and its prepared statements."""

from __future__ import annotations

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._mysql_document import (
    CLIENT_QUERY_ATTRIBUTES,
    LOGIN,
    UNKNOWN,
    Asked,
    Statement,
    bound_types,
    login,
    prepared,
    statement_text,
)
from kubeshark.pipeline.dissectors.databases._mysql_framing import (
    COMMANDS,
    PREPARE,
    QUERY,
    Exchange,
    is_login,
    payloads,
)

__all__ = ["SSL_REQUEST_BYTES", "Connection", "Statements"]

SSL_REQUEST_BYTES = 32
"""A login cut short behind its flags asks for TLS."""
MAX_STATEMENTS = 10_000
"""Prepared statements kept of one connection."""
LAST_STATEMENT = 0xFFFFFFFF
"""MariaDB: the statement prepared last, whose id the client does not know yet."""


class Connection:
    """What earlier commands say about later ones: which database, and which capabilities."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._database = ""
        self._has_attributes = False

    def asked(self, exchange: Exchange) -> Asked:
        """Say what a command means, as far as it does so itself; `Statements` adds the rest."""
        wire, start = self._wire, exchange.start
        if not exchange.is_packet:
            return Asked(UNKNOWN, "", database=self._database)
        if is_login(wire.data, start):
            return self._login(exchange)
        if exchange.sequence:
            return Asked(UNKNOWN, "", database=self._database)
        code = wire.data[start + 4] if exchange.length and start + 4 < len(wire.data) else -1
        if code not in COMMANDS:
            return Asked(UNKNOWN, "", database=self._database)
        asked = Asked(code, COMMANDS[code], database=self._database, has_attributes=self._has_attributes)
        if code in (QUERY, PREPARE):
            payload = next(payloads(wire, start, exchange.end), b"")
            asked.query = statement_text(payload, has_attributes=self._has_attributes and code == QUERY)
            if asked.query[:4].upper() == "USE ":
                self._use(asked, asked.query[4:].strip(" ;`\r\n\t"))
        elif code == 0x02:
            self._use(asked, text(next(payloads(wire, start, exchange.end), b"")[1:]))
        elif code in _WITH_STATEMENT:
            asked.statement_id = int.from_bytes(wire.captured(start + 5, min(start + 9, exchange.end)), "little")
        return asked

    def _use(self, asked: Asked, database: str) -> None:
        self._database = asked.database = database

    def _login(self, exchange: Exchange) -> Asked:
        payload = next(payloads(self._wire, exchange.start, exchange.end), b"")
        if len(payload) == SSL_REQUEST_BYTES:
            return Asked(LOGIN, "SSLREQUEST")
        found = login(payload)
        self._database = found.database
        self._has_attributes = bool(found.capabilities & CLIENT_QUERY_ATTRIBUTES)
        return Asked(LOGIN, "LOGIN", database=found.database)


class Statements:
    """The prepared statements of a connection, by id."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._statements: dict[int, Statement] = {}

    def bind(self, exchange: Exchange, asked: Asked) -> None:
        """Find the statement that a command runs; keep the parameter types it binds."""
        if asked.code not in _WITH_STATEMENT:
            return
        statement = self._statements.get(asked.statement_id)
        if asked.statement_id == LAST_STATEMENT and self._statements:
            statement = next(reversed(self._statements.values()))
        if statement is None:
            return
        asked.statement, asked.query, asked.types = statement, statement.query, statement.types
        if asked.code == 0x17 and statement.parameters > 0:
            payload = next(payloads(self._wire, exchange.start, exchange.end), b"")
            statement.types = bound_types(payload, asked)
        elif asked.code == 0x19:
            self._statements.pop(asked.statement_id, None)

    def learn(self, asked: Asked, answer: bytes) -> None:
        """Keep what the answer to a preparation says."""
        found = prepared(answer)
        if asked.code == PREPARE and found and len(self._statements) < MAX_STATEMENTS:
            asked.statement_id = found[0]
            self._statements.pop(found[0], None)
            self._statements[found[0]] = Statement(asked.query, found[1])


_WITH_STATEMENT = frozenset((0x17, 0x18, 0x19, 0x1A, 0x1C, 0xFA))
