"""Decryption of one QUIC connection with a key log: datagrams in, the bytes of its streams out (RFC 9001 §5, §6).

What is handed over are both sides' stream data in the order in which they became readable, in frames of our own
(`_quic_streams`): QUIC's streams are many, a side is one. Handshake packets are passed over: keys come from the log.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from typing import Any, NamedTuple

from msgspec import Struct, field

from kubeshark.extension_api import Ending, Handover, carved
from kubeshark.pipeline.dissectors.security._quic_packet import (
    INITIAL,
    ZERO_RTT,
    crypto_frames,
    initial_keys,
    read_headers,
    unprotected,
)
from kubeshark.pipeline.dissectors.security._quic_streams import pack_frame, stream_frames
from kubeshark.pipeline.reading._streams import FlowStream
from kubeshark.pipeline.tls._hello import ClientHello, ServerHello, parse_client_hello, parse_server_hello
from kubeshark.pipeline.tls._keylog import KeyLog
from kubeshark.pipeline.tls._protection import suite_of
from kubeshark.pipeline.tls._schedule import expand_label

__all__ = ["decrypt_quic"]

CLIENT, SERVER = 0, 1
MAX_HANDSHAKE = 64 << 10
MAX_PENDING = 64 << 20  # bytes of stream data that wait for something before them, per side
MAX_INITIALS = 256  # tried in one stream
MAX_STREAMS = 100_000
GENERATIONS = 2  # keys tried beyond the current ones
TAG = 16


class _Keys(NamedTuple):
    """Packet protection of one direction and one phase."""

    seal: Any
    iv: bytes


class _Direction(Struct):
    """One direction's application keys, generation by generation, and the streams that it sent."""

    secret: bytes
    hash_name: str
    cipher: str
    key_size: int
    label: bytes
    header_key: bytes = b""
    keys: list[_Keys] = field(default_factory=list)
    secrets: list[bytes] = field(default_factory=list)
    generation: int = 0
    largest: int = -1

    def __post_init__(self) -> None:
        self.header_key = expand_label(self.hash_name, self.secret, self.label + b"hp", self.key_size)
        self.secrets.append(self.secret)

    def of(self, generation: int) -> _Keys:
        """Return the keys of a generation (RFC 9001 §6.1); header protection never changes."""
        while len(self.secrets) <= generation:
            size = hashlib.new(self.hash_name).digest_size
            self.secrets.append(expand_label(self.hash_name, self.secrets[-1], self.label + b"ku", size))
        while len(self.keys) <= generation:
            secret = self.secrets[len(self.keys)]
            key = expand_label(self.hash_name, secret, self.label + b"key", self.key_size)
            iv = expand_label(self.hash_name, secret, self.label + b"iv", 12)
            self.keys.append(_Keys(_aead(self.cipher, key), iv))
        return self.keys[generation]

    def open(self, data: bytes, start: int, number_at: int, end: int, *, is_short: bool) -> bytes | None:
        """Return the payload of a packet; None if it does not authenticate."""
        from cryptography.exceptions import InvalidTag

        sample = data[number_at + 4 : number_at + 20]
        if len(sample) < 16 or end - number_at < 4 + TAG:
            return None
        mask = _mask(self.cipher, self.header_key, sample)
        first = data[start] ^ mask[0] & (0x1F if is_short else 0x0F)
        size = (first & 3) + 1
        truncated = bytes(a ^ b for a, b in zip(data[number_at : number_at + size], mask[1:], strict=False))
        number = _whole_number(int.from_bytes(truncated, "big"), 8 * size, self.largest)
        header = bytes([first]) + data[start + 1 : number_at] + truncated
        for generation in self._generations(bool(first & 4) if is_short else None):
            keys = self.of(generation)
            nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
            try:
                payload: bytes = keys.seal.decrypt(nonce, data[number_at + size : end], header)
            except (InvalidTag, ValueError):
                continue
            self.largest = max(self.largest, number)
            self.generation = max(self.generation, generation)
            return payload
        return None

    def _generations(self, phase: bool | None) -> list[int]:
        """Return the generations that a key phase bit may mean, likely ones first."""
        if phase is None:
            return [0]
        near = range(max(0, self.generation - 1), self.generation + GENERATIONS + 1)
        fitting = [generation for generation in near if bool(generation & 1) == phase]
        return sorted(fitting, key=lambda generation: abs(generation - self.generation))


class _Incoming(Struct):
    """One stream's data that came before what lies in front of it."""

    offset: int = 0  # up to here everything is out
    waiting: list[tuple[int, bytes, int]] = field(default_factory=list)  # (offset, data, datagram), by offset
    final: int | None = None
    is_ended: bool = False


class _DatagramSide:
    """One direction's datagrams behind each other, as a `StreamSide`: what decrypted bytes are carved out of."""

    def __init__(self, stream: FlowStream, direction: int) -> None:
        mine = [at for at, datagram in enumerate(stream.datagrams) if datagram.direction == direction]
        self.starts = {}
        self._places: list[int] = []
        self._mine = mine
        self._stream = stream
        joined = bytearray()
        for at in mine:
            self.starts[at] = len(joined)
            self._places.append(len(joined))
            joined += stream.datagrams[at].data
        self.data = memoryview(bytes(joined))
        self.gaps: list[tuple[int, int, int]] = []
        self.starts_midway = False
        self.ended: Ending = ""

    def span(self, datagram: int) -> tuple[int, int]:
        start = self.starts[datagram]
        return start, start + len(self._stream.datagrams[datagram].data)

    def _at(self, offset: int) -> int:
        return self._mine[max(0, bisect_right(self._places, offset) - 1)] if self._mine else 0

    def packet_at(self, offset: int) -> int:
        return self._stream.packet_of(self._at(offset)) if self._mine else 0

    def time_at(self, offset: int) -> int:
        return self._stream.datagrams[self._at(offset)].time_ns if self._mine else 0


def decrypt_quic(stream: FlowStream, keylog: KeyLog) -> Handover | None:
    """Return the stream data of an HTTP/3 connection; None without its keys, or if nothing could be opened."""
    if stream.transport != "udp" or not keylog or not stream.datagrams:
        return None
    connection = _Connection(stream, keylog)
    if not connection.find_keys():
        return None
    connection.read()
    if not any(connection.frames):
        return None
    sides = []
    for direction in range(2):
        base = _DatagramSide(stream, direction)
        data, pieces = bytearray(), []
        for frame, datagram in connection.frames[direction]:
            pieces.append((len(data), *base.span(datagram)))
            data += frame
        sides.append(carved(base, bytes(data), pieces))
    return Handover((sides[0], sides[1]), "http3", is_decrypted=True)


class _Connection:
    def __init__(self, stream: FlowStream, keylog: KeyLog) -> None:
        self._stream = stream
        self._keylog = keylog
        self._directions: dict[int, _Direction] = {}
        self._early: _Direction | None = None
        self._id_sizes = [0, 0]  # of the connection ids that this direction sends to
        self._incoming: list[dict[int, _Incoming]] = [{}, {}]
        self._pending = [0, 0]
        self.frames: list[list[tuple[bytes, int]]] = [[], []]

    def find_keys(self) -> bool:
        """Read the hellos in the Initial packets, and look up their secrets."""
        hellos: list[bytearray] = [bytearray(), bytearray()]
        pieces: list[dict[int, bytes]] = [{}, {}]
        keys, asking, version, tries = None, CLIENT, 0, 0
        for datagram in self._stream.datagrams:
            data = bytes(datagram.data)
            for header in read_headers(data):
                self._id_sizes[1 - datagram.direction] = len(header.scid)
                if header.type != INITIAL or tries == MAX_INITIALS:
                    continue
                tries += 1
                payload = None
                if keys:
                    payload = unprotected(data, header, keys[datagram.direction ^ asking])
                if payload is None:
                    fresh = initial_keys(header.version, header.dcid)
                    payload = unprotected(data, header, fresh[0])
                    if payload is None:
                        continue
                    keys, asking, version = fresh, datagram.direction, header.version
                    pieces = [{}, {}]
                for offset, piece in crypto_frames(payload, header.version):
                    if offset + len(piece) <= MAX_HANDSHAKE:
                        pieces[datagram.direction].setdefault(offset, piece)
        for direction, found in enumerate(pieces):
            for offset, piece in sorted(found.items()):
                if offset <= len(hellos[direction]):
                    hellos[direction] += piece[len(hellos[direction]) - offset :]
        client = _client_hello(bytes(hellos[asking]))
        server = _server_hello(bytes(hellos[1 - asking]))
        if client is None or server is None or not any(name.startswith("h3") for name in client.alpn):
            return False
        suite, secrets = suite_of(server.suite), self._keylog.secrets(client.random)
        if suite is None or suite.kind != "aead" or not secrets:
            return False
        label = b"quicv2 " if version in (0x6B33_43CF, 0x709A_50C4) else b"quic "
        names = {asking: "CLIENT_TRAFFIC_SECRET_0", 1 - asking: "SERVER_TRAFFIC_SECRET_0"}
        for direction, name in names.items():
            if secret := secrets.get(name):
                self._directions[direction] = _Direction(secret, suite.prf_hash, suite.cipher, suite.key_size, label)
        if early := secrets.get("CLIENT_EARLY_TRAFFIC_SECRET"):
            self._early = _Direction(early, suite.prf_hash, suite.cipher, suite.key_size, label)
        return bool(self._directions)

    def read(self) -> None:
        """Decrypt every packet of application data, and put its streams' data in order."""
        for at, datagram in enumerate(self._stream.datagrams):
            data, end = bytes(datagram.data), 0
            for header in read_headers(data):
                end = header.end
                if header.type == ZERO_RTT and self._early:
                    payload = self._early.open(data, header.start, header.number, header.end, is_short=False)
                    self._take(datagram.direction, at, payload)
            direction = self._directions.get(datagram.direction)
            if direction and end < len(data) and not data[end] & 0x80:
                number = end + 1 + self._id_sizes[datagram.direction]
                self._take(datagram.direction, at, direction.open(data, end, number, len(data), is_short=True))
        for way in range(2):
            self._flush(way)

    def _take(self, way: int, datagram: int, payload: bytes | None) -> None:
        for frame in stream_frames(payload or b""):
            incoming = self._incoming[way]
            if frame.stream not in incoming and len(incoming) >= MAX_STREAMS:
                return
            stream = incoming.setdefault(frame.stream, _Incoming())
            if frame.is_final:
                stream.final = frame.offset + len(frame.data)
            if frame.offset + len(frame.data) < stream.offset or self._pending[way] > MAX_PENDING:
                continue
            self._pending[way] += len(frame.data)
            insort(stream.waiting, (frame.offset, frame.data, datagram))
            self._release(way, frame.stream, stream, datagram)

    def _release(self, way: int, number: int, stream: _Incoming, datagram: int) -> None:
        """Hand out what has nothing missing before it."""
        while stream.waiting and stream.waiting[0][0] <= stream.offset:
            offset, data, _ = stream.waiting.pop(0)
            self._pending[way] -= len(data)
            fresh = data[stream.offset - offset :]
            stream.offset += len(fresh)
            is_final = stream.final == stream.offset
            if fresh or (is_final and not stream.is_ended):
                stream.is_ended = is_final
                self.frames[way].append((pack_frame(number, fresh, is_final=is_final), datagram))

    def _flush(self, way: int) -> None:
        """Hand out what waits for data that was never captured, behind a note of how much is missing."""
        for number, stream in self._incoming[way].items():
            while stream.waiting:
                offset, _, datagram = stream.waiting[0]
                if offset > stream.offset:
                    self.frames[way].append((pack_frame(number, b"", missing=offset - stream.offset), datagram))
                    stream.offset = offset
                self._release(way, number, stream, datagram)


def _client_hello(crypto: bytes) -> ClientHello | None:
    return parse_client_hello(crypto[4:]) if crypto[:1] == b"\x01" else None


def _server_hello(crypto: bytes) -> ServerHello | None:
    size = 4 + int.from_bytes(crypto[1:4], "big")
    return parse_server_hello(crypto[4:size]) if crypto[:1] == b"\x02" else None


def _aead(cipher: str, key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import aead

    if cipher.startswith("CHACHA20"):
        return aead.ChaCha20Poly1305(key)
    return aead.AESCCM(key) if "_CCM" in cipher else aead.AESGCM(key)


def _mask(cipher: str, key: bytes, sample: bytes) -> bytes:
    """Return the five bytes that hide a header (RFC 9001 §5.4.3, §5.4.4)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if cipher.startswith("CHACHA20"):
        return Cipher(algorithms.ChaCha20(key, sample), None).encryptor().update(bytes(5))
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(sample)  # noqa: S305 - one block, by the RFC


def _whole_number(truncated: int, bits: int, largest: int) -> int:
    """Return a packet number of which only the last bits were sent (RFC 9000 §A.3)."""
    expected, window = largest + 1, 1 << bits
    candidate = (expected & -window) | truncated
    if candidate <= expected - window // 2:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate
