"""Decryption of one TLS stream with a key log: encrypted sides in, the application's sides out.

1. Only the pipeline calls this. Secrets live in the `KeyLog` and in openers; neither reaches a plugin.
2. A record that does not authenticate leaves a gap in the inner side, as lost bytes do; what was before it is kept.
3. Behind lost records the sequence number is searched for, within MAX_SKIPPED numbers and TRIAL_BYTES of work.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from kubeshark.extension_api import CarvedSide, Handover, Stream, carved
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.tls._hello import (
    ALPN,
    EARLY_DATA,
    ENCRYPT_THEN_MAC,
    EXTENDED_MASTER_SECRET,
    ClientHello,
    Cursor,
    CutShort,
    ServerHello,
    protocol_names,
)
from kubeshark.pipeline.tls._keylog import KeyLog
from kubeshark.pipeline.tls._protection import Opener, Refused, Suite, legacy_opener, suite_of, tls13_opener
from kubeshark.pipeline.tls._records import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_BYTES,
    Flight,
    Record,
    read_flight,
    split_records,
)
from kubeshark.pipeline.tls._schedule import expand_label, master_secret, prf, traffic_key

__all__ = ["decrypt"]

TLS10, TLS12, TLS13 = 0x0301, 0x0303, 0x0304
FIRST_DRAFT, HEADER_DRAFT, LAST_DRAFT = 0x7F17, 0x7F19, 0x7F1C  # of TLS 1.3, 23 and on: their keys are those of the RFC
ENCRYPTED_EXTENSIONS, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, FINISHED = 8, 14, 16, 20
MAX_SKIPPED = 1_024  # sequence numbers tried behind lost records
SMALLEST_RECORD = HEADER_BYTES + 17
LOST_HANDSHAKE = 8  # records that a side may have sent before its application data
TRIAL_BYTES = 64 << 20  # decrypted in vain per side
NEXT_PHASES = 2
MAX_GAP_BYTES = 1 << 16  # zeros that stand for what could not be opened
MAX_HANDSHAKE_BYTES = 1 << 18  # of a side's encrypted handshake; certificate chains have some 10 KB
LOST = -1  # in place of a content type
PROTOCOLS = {"h2": "http2", "http/1.1": "http", "http/1.0": "http"}


class _Piece(NamedTuple):
    """Contents of the record(s) between two offsets; `data` is None where they could not be opened."""

    data: bytes | None
    start: int
    end: int
    size: int  # of the contents, guessed where they are unknown


class _Phase(NamedTuple):
    name: str  # early, handshake, application
    opener: Opener


class _Session(Struct):
    """What both directions of a connection need."""

    client: ClientHello
    server: ServerHello
    suite: Suite
    version: int
    secrets: dict[str, bytes]
    alpn: str = ""
    takes_early_data: bool = False


def decrypt(stream: Stream, keylog: KeyLog) -> Handover | None:
    """Return what the application said over a TLS stream; None without its keys, or if nothing could be opened."""
    if stream.transport != "tcp" or not keylog:
        return None
    wires = [Wire(side) for side in stream.sides]
    found = _session([read_flight(wire) for wire in wires], keylog)
    if found is None:
        return None
    session, asking = found
    pieces: list[list[_Piece]] = [[], []]
    for direction in (1 - asking, asking):  # first the server's: its extensions say what the client may do
        pieces[direction] = list(_opened(wires[direction], session, is_client=direction == asking))
    if not any(piece.data for side in pieces for piece in side):
        return None
    client, server = (_inner(stream, direction, pieces[direction]) for direction in range(2))
    return Handover((client, server), PROTOCOLS.get(session.alpn, ""), is_decrypted=True)


def _inner(stream: Stream, direction: int, pieces: Sequence[_Piece]) -> CarvedSide:
    data = bytearray()
    places: list[tuple[int, int, int]] = []
    gaps: list[tuple[int, int, int]] = []
    for piece in pieces:
        start = len(data)
        if piece.data is not None:
            data += piece.data
        else:
            data += bytes(min(piece.size, MAX_GAP_BYTES))
            if gaps and gaps[-1][1] == start:
                gaps[-1] = (gaps[-1][0], len(data), gaps[-1][2] + piece.size)
            elif len(data) > start:
                gaps.append((start, len(data), piece.size))
        if len(data) > start:
            places.append((start, piece.start, piece.end))
    return carved(stream.sides[direction], bytes(data), places, gaps)


def _session(flights: Sequence[Flight], keylog: KeyLog) -> tuple[_Session, int] | None:
    """Return the session whose hellos these are, and which side is the client's; None without keys for it."""
    for asking, flight in enumerate(flights):
        clients = [message.hello for message in flight.messages if isinstance(message.hello, ClientHello)]
        servers = [message.hello for message in flights[1 - asking].messages if isinstance(message.hello, ServerHello)]
        servers = [hello for hello in servers if not hello.is_retry]
        if not clients or not servers or servers[0].error or servers[0].compression:
            continue
        client, server = clients[0], servers[0]
        suite = suite_of(server.suite)
        version = TLS13 if FIRST_DRAFT <= server.version <= LAST_DRAFT else server.version
        if suite is None or not TLS10 <= version <= TLS13:
            return None
        session = _Session(client, server, suite, version, dict(keylog.secrets(client.random)), server.alpn)
        if version < TLS13 and "CLIENT_RANDOM" not in session.secrets:
            master = _master_secret(flights, asking, keylog, session)
            if master is None:
                return None
            session.secrets["CLIENT_RANDOM"] = master
        return (session, asking) if session.secrets else None
    return None


def _master_secret(flights: Sequence[Flight], asking: int, keylog: KeyLog, session: _Session) -> bytes | None:
    """Work out the master secret from a premaster secret: the key log has it by random, or by its encrypted form."""
    asked = flights[asking].messages
    exchange = next((message for message in asked if message.type == CLIENT_KEY_EXCHANGE), None)
    premaster = session.secrets.get("PMS_CLIENT_RANDOM")
    if premaster is None and exchange is not None:
        premaster = keylog.premaster(exchange.body[2:])
    if premaster is None:
        return None
    randoms = session.client.random + session.server.random
    session_hash = None
    if session.server.extension(EXTENDED_MASTER_SECRET) is not None:
        if exchange is None:
            return None
        hello, *rest = [message for message in asked if message.end <= exchange.end]
        answered = flights[1 - asking].messages
        done = next((at for at, message in enumerate(answered) if message.type == SERVER_HELLO_DONE), len(answered))
        ordered = [hello, *answered[: done + 1], *rest]  # a session ticket comes later
        transcript = b"".join(bytes([m.type]) + len(m.body).to_bytes(3, "big") + m.body for m in ordered)
        if session.version == TLS12:
            session_hash = hashlib.new(session.suite.prf_hash, transcript).digest()
        else:
            md5 = hashlib.md5(transcript, usedforsecurity=False)
            session_hash = md5.digest() + hashlib.sha1(transcript, usedforsecurity=False).digest()
    return master_secret(session.version, session.suite.prf_hash, premaster, randoms, session_hash)


def _opened(wire: Wire, session: _Session, *, is_client: bool) -> Iterator[_Piece]:
    """Yield the application data of one direction, record by record."""
    if session.version == TLS13:
        return _opened_tls13(wire, session, is_client=is_client)
    return _opened_legacy(wire, session, is_client=is_client)


def _opened_legacy(wire: Wire, session: _Session, *, is_client: bool) -> Iterator[_Piece]:
    """Open what follows the direction's ChangeCipherSpec (RFC 5246 §7.1)."""
    direction: _Direction | None = None
    for record in split_records(wire):
        if record.type == CHANGE_CIPHER_SPEC and direction is not None:
            rest = len(wire.data) - record.start
            yield _Piece(None, record.start, len(wire.data), rest)  # renegotiated: the keys are others
            return
        if direction is None and record.type in (CHANGE_CIPHER_SPEC, APPLICATION_DATA):
            opener = _legacy_opener(session, is_client=is_client)
            direction = _Direction(wire, iter((_Phase("application", opener),)), record.start)
            if record.type == APPLICATION_DATA:  # ChangeCipherSpec was lost, and Finished
                direction.unsure = LOST_HANDSHAKE
        if direction is not None and record.type != CHANGE_CIPHER_SPEC:
            for kind, piece in direction.open(record):
                if kind == APPLICATION_DATA or (kind == LOST and record.type == APPLICATION_DATA):
                    yield piece


def _legacy_opener(session: _Session, *, is_client: bool) -> Opener:
    """Cut the key block (RFC 5246 §6.3)."""
    suite, version = session.suite, session.version
    mac = hashlib.new(suite.mac_hash, usedforsecurity=False).digest_size if suite.mac_hash else 0
    iv = suite.iv_size if suite.kind == "aead" or version == TLS10 else 0
    sizes = (mac, suite.key_size, iv)
    randoms = session.server.random + session.client.random
    secret = session.secrets["CLIENT_RANDOM"]
    block = Cursor(prf(version, suite.prf_hash, secret, b"key expansion", randoms, 2 * sum(sizes)))
    pairs = [(block.take(size), block.take(size)) for size in sizes]
    mac_key, key, fixed = (pair[0 if is_client else 1] for pair in pairs)
    encrypt_then_mac = session.server.extension(ENCRYPT_THEN_MAC) is not None and suite.kind == "cbc"
    return legacy_opener(suite, version, mac_key, key, fixed, encrypt_then_mac=encrypt_then_mac)


def _opened_tls13(wire: Wire, session: _Session, *, is_client: bool) -> Iterator[_Piece]:
    """Open a direction of TLS 1.3: early data, handshake, application data, each with keys of its own.

    Which keys a record has is found by trying the current ones, then the next: a KeyUpdate need not be understood.
    """
    direction = _Direction(wire, _tls13_phases(session, is_client=is_client), 0)
    handshake = _EncryptedHandshake(session)
    for record in split_records(wire):
        if record.type != APPLICATION_DATA:
            continue
        for kind, piece in direction.open(record):
            is_application = direction.phase == "application" or handshake.is_finished
            if kind == HANDSHAKE and direction.phase == "handshake":
                handshake.read(piece.data or b"", is_client=is_client)
            elif kind == APPLICATION_DATA and direction.phase == "early":
                if session.takes_early_data:
                    yield piece
            elif kind == APPLICATION_DATA or (kind == LOST and is_application):
                yield piece


def _tls13_phases(session: _Session, *, is_client: bool) -> Iterator[_Phase]:
    """Yield the keys of a direction in order; those of application data without end (RFC 8446 §7.2)."""
    side, secrets = "CLIENT" if is_client else "SERVER", session.secrets
    if is_client and (early := secrets.get("CLIENT_EARLY_TRAFFIC_SECRET")):
        yield _Phase("early", _tls13_opener(session, early))
    if handshake := secrets.get(f"{side}_HANDSHAKE_TRAFFIC_SECRET"):
        yield _Phase("handshake", _tls13_opener(session, handshake))
    secret = secrets.get(f"{side}_TRAFFIC_SECRET_0")
    hash_name = session.suite.prf_hash
    while secret:
        yield _Phase("application", _tls13_opener(session, secret))
        secret = expand_label(hash_name, secret, b"traffic upd", hashlib.new(hash_name).digest_size)


def _tls13_opener(session: _Session, secret: bytes) -> Opener:
    key, iv = traffic_key(session.suite.prf_hash, secret, session.suite.key_size)
    has_header = not FIRST_DRAFT <= session.server.version < HEADER_DRAFT
    return tls13_opener(session.suite, key, iv, with_header=has_header)


class _EncryptedHandshake:
    """One side's encrypted handshake messages: what is negotiated in them, and where they end."""

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._buffer = bytearray()
        self._at = 0
        self.is_finished = False

    def read(self, contents: bytes, *, is_client: bool) -> None:
        buffer = self._buffer
        if len(buffer) < MAX_HANDSHAKE_BYTES:
            buffer += contents
        while len(buffer) >= self._at + 4:
            end = self._at + 4 + int.from_bytes(buffer[self._at + 1 : self._at + 4], "big")
            if len(buffer) < end:
                return  # its rest is in the next record
            kind, body = buffer[self._at], bytes(buffer[self._at + 4 : end])
            self._at = end
            self.is_finished = self.is_finished or kind == FINISHED
            if kind == ENCRYPTED_EXTENSIONS and not is_client:
                self._read_extensions(body)

    def _read_extensions(self, body: bytes) -> None:
        cursor = Cursor(body, 2)
        try:
            while cursor.left > 0:
                number, extension = cursor.number(2), cursor.vector(2)
                if number == ALPN:
                    self._session.alpn = next(iter(protocol_names(extension)), "")
                elif number == EARLY_DATA:
                    self._session.takes_early_data = True
        except CutShort:
            return


class _Direction:
    """Opens the records of one direction in order, with the keys of its phases."""

    def __init__(self, wire: Wire, phases: Iterator[_Phase], start: int) -> None:
        self._wire = wire
        self._phases = phases
        self._next: deque[_Phase] = deque()
        self._opener: Opener | None = None
        self._sequence = 0
        self._end = start  # of the last record
        self._budget = TRIAL_BYTES
        self._is_broken = False
        self.unsure = 0  # records that may have been lost since the last one that opened
        self.phase = ""

    def open(self, record: Record) -> list[tuple[int, _Piece]]:
        """Return (content type or LOST, piece) for a record, and before it for what was lost."""
        found: list[tuple[int, _Piece]] = []
        if record.follows_loss:
            lost = self._lost(record.start)
            self.unsure += lost // SMALLEST_RECORD + 1
            found.append((LOST, _Piece(None, self._end, record.start, lost)))
        self._end = record.end
        end = min(record.end, len(self._wire.data))
        body = self._wire.data[record.start + HEADER_BYTES : end]
        header = self._wire.data[record.start : record.start + HEADER_BYTES]
        opened = self._try(header, body) if record.is_whole and not self._is_broken else None
        if opened:
            kind, data = opened
            found.append((kind, _Piece(data, record.start, end, len(data))))
            return found
        self._sequence += 1
        overhead = 0
        if self._opener:
            self._opener.skip(body)
            self._is_broken = not self._opener.survives_loss
            overhead = self._opener.overhead
        found.append((LOST, _Piece(None, record.start, end, max(0, int.from_bytes(header[3:], "big") - overhead))))
        return found

    def _lost(self, until: int) -> int:
        """Return how many bytes of the wire lie between the last record and `until`."""
        lost, at = max(0, until - self._end), self._end
        while gap := self._wire.gap_in(at, until):  # each gap is met once: a lossy capture has thousands
            start, at, missing = gap
            lost += missing - (at - start) if start >= self._end else 0
        return lost

    def _try(self, header: bytes, body: bytes) -> tuple[int, bytes] | None:
        """Open a record with the current keys or the next ones, at the sequence number expected or a later one."""
        while len(self._next) < NEXT_PHASES and (phase := next(self._phases, None)):
            self._next.append(phase)
        if self._opener is not None and (opened := self._search(self._opener, self._sequence, header, body)):
            return opened
        for place, phase in enumerate(tuple(self._next)):
            if opened := self._search(phase.opener, 0, header, body):
                for _ in range(place + 1):
                    self.phase, self._opener = self._next.popleft()
                return opened
        if self._opener is None and len(self._next) == 1:
            self.phase, self._opener = self._next.popleft()  # the only keys there are: they say how much is lost
        return None

    def _search(self, opener: Opener, first: int, header: bytes, body: bytes) -> tuple[int, bytes] | None:
        count = min(self.unsure, MAX_SKIPPED) + 1 if opener.survives_loss else 1
        for sequence in range(first, first + count):
            try:
                opened = opener.open(sequence, header, body)
            except Refused:
                self._budget -= len(body)
                if self._budget < 0:
                    return None
                continue
            self._sequence, self.unsure = sequence + 1, 0
            return opened
        return None
