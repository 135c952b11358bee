"""What one side of an HTTP/3 connection said on each of its streams (RFC 9114 §4, §6, §7; QPACK: RFC 9204).

Streams come as `_quic_streams` hands them over. Header sections are decoded by pylsqpack, which binds ls-qpack, the
QPACK of most deployed servers: its dynamic table is the part one does not want to write again.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubeshark.pipeline.dissectors.security._quic_streams import handed_frames, varint
from kubeshark.pipeline.dissectors.web._http2_halves import Half
from kubeshark.pipeline.tls import Cursor, CutShort

__all__ = ["read_settings", "read_streams"]

DATA, HEADERS, SETTINGS = 0, 1, 4
CONTROL, ENCODER = 0, 2
TABLE_CAPACITY, BLOCKED_STREAMS = 1, 7
MAX_SECTION = 1 << 20  # of a header section; servers refuse much smaller ones
MAX_TABLE = 1 << 20
MAX_BLOCKED = 1 << 16


def read_settings(data: bytes) -> tuple[int, int]:
    """Return (QPACK table capacity, blocked streams) that a side's SETTINGS allow; (0, 0) without them."""
    control = bytearray()
    number = None
    for frame in handed_frames(data):
        is_own = frame.stream & 2 and (number is None or frame.stream == number)
        if is_own and frame.end > frame.start and (number is not None or data[frame.start] == CONTROL):
            number = frame.stream
            control += data[frame.start : frame.end]
            if len(control) > MAX_SECTION:
                break
    found = {TABLE_CAPACITY: 0, BLOCKED_STREAMS: 0}
    cursor = Cursor(bytes(control), 1)
    try:
        if varint(cursor) == SETTINGS:
            settings = Cursor(cursor.take(varint(cursor)))
            while settings.left:
                name, value = varint(settings), varint(settings)
                found[name] = value
    except CutShort:
        pass
    return min(found[TABLE_CAPACITY], MAX_TABLE), min(found[BLOCKED_STREAMS], MAX_BLOCKED)


def read_streams(data: bytes, capacity: int, blocked: int) -> list[Half]:
    """Return what a side said on each request stream; `capacity` and `blocked` are the other side's settings."""
    reader = _SideReader(data, capacity, blocked)
    reader.read()
    return reader.halves


class _SideReader:
    def __init__(self, data: bytes, capacity: int, blocked: int) -> None:
        from pylsqpack import Decoder  # loaded when there is HTTP/3

        self.halves: list[Half] = []
        self._data = data
        self._decoder = Decoder(capacity, blocked)
        self._streams: dict[int, _Stream] = {}
        self._kinds: dict[int, int] = {}
        self._is_lost = False  # the encoder's stream: header sections cannot be read any more

    def read(self) -> None:
        for frame in handed_frames(self._data):
            if frame.stream & 2:
                self._unidirectional(frame.stream, frame.start, frame.end, frame.missing)
            else:
                stream = self._streams.get(frame.stream)
                if stream is None:
                    stream = self._streams[frame.stream] = _Stream(Half(frame.stream, frame.start, frame.end))
                    self.halves.append(stream.half)
                stream.half.end = frame.end
                for section in stream.read(self._data, frame.start, frame.end, frame.missing):
                    self._section(stream, section)
                stream.half.is_ended = stream.half.is_ended or frame.is_final
        for stream in self._streams.values():
            stream.finish()

    def _unidirectional(self, number: int, start: int, end: int, missing: int) -> None:
        if number not in self._kinds and end > start:
            self._kinds[number] = self._data[start]
            start += 1
        if self._kinds.get(number) != ENCODER or self._is_lost:
            return
        if missing:
            self._is_lost = True
            return
        from pylsqpack import EncoderStreamError

        try:
            unblocked = self._decoder.feed_encoder(self._data[start:end])
        except EncoderStreamError:
            self._is_lost = True
            return
        for stream in unblocked:
            if stream in self._streams:
                self._resume(self._streams[stream])

    def _section(self, stream: _Stream, section: bytes) -> None:
        from pylsqpack import DecompressionFailed, StreamBlocked

        half = stream.half
        half.head_size += len(section)
        if stream.is_blocked or self._is_lost:
            half.error = half.error or "unknown: a header section refers to header fields that were not captured"
            return
        try:
            _, fields = self._decoder.feed_header(half.stream, section)
        except StreamBlocked:
            stream.is_blocked = True
            return
        except (DecompressionFailed, ValueError):
            half.error = half.error or "malformed: a header section is not QPACK"
            return
        stream.add(fields)

    def _resume(self, stream: _Stream) -> None:
        from pylsqpack import DecompressionFailed, StreamBlocked

        try:
            _, fields = self._decoder.resume_header(stream.half.stream)
        except (DecompressionFailed, StreamBlocked, ValueError):
            stream.half.error = stream.half.error or "malformed: a header section is not QPACK"
        else:
            stream.add(fields)
        stream.is_blocked = False


class _Stream:
    """One request stream: its frames, which need not begin or end with what QUIC carried at once."""

    def __init__(self, half: Half) -> None:
        self.half = half
        self.is_blocked = False
        self._head = bytearray()  # of a frame: type and length
        self._section: bytearray | None = None
        self._kind = 0
        self._left = 0  # of the frame's payload
        self._is_lost = False

    def read(self, data: bytes, start: int, end: int, missing: int) -> Iterator[bytes]:
        """Take a piece of the stream; yield the header sections that end in it."""
        if missing:
            self._lose(missing)
            return
        while start < end and not self._is_lost:
            if not self._left:
                start += 1
                self._head.append(data[start - 1])
                if not self._begin() or self._left:
                    continue
                taken = 0
            else:
                taken = min(self._left, end - start)
            if self._kind == DATA and taken:
                self.half.spans.append((start, start + taken))
                self.half.body_size += taken
            elif self._kind == HEADERS and self._section is not None:
                self._section += data[start : start + taken]
            start += taken
            self._left -= taken
            if not self._left and self._kind == HEADERS and self._section is not None:
                yield bytes(self._section)
                self._section = None

    def _begin(self) -> bool:
        """Read the type and length of a frame once they are whole."""
        cursor = Cursor(bytes(self._head))
        try:
            self._kind, self._left = varint(cursor), varint(cursor)
        except CutShort:
            return False
        self._head.clear()
        self._section = bytearray() if self._kind == HEADERS else None
        if self._kind == HEADERS and self._left > MAX_SECTION:
            self._is_lost = True
            self.half.error = self.half.error or f"malformed: header section of {self._left} bytes"
        return True

    def _lose(self, missing: int) -> None:
        self.half.error = self.half.error or f"incomplete: gap: {missing} bytes of the stream were not captured"
        if self._kind == DATA and self._left >= missing:
            self._left -= missing
        else:
            self._is_lost = True

    def add(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Take a decoded header section: the head, an interim response before it, or trailers."""
        half = self.half
        if not half.has_head or half.value(b":status").startswith(b"1"):
            half.fields, half.has_head = fields, True
        else:
            half.trailers += fields

    def finish(self) -> None:
        if self.is_blocked:
            reason = "unknown: a header section refers to header fields that were not captured"
            self.half.error = self.half.error or reason
        elif self._left or self._head:
            self.half.error = self.half.error or "incomplete: the stream ends inside a frame"
