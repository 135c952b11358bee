"""What one side of an HTTP/2 connection said on each of its streams (RFC 9113 §5, §6, §8); nothing is interpreted here.

1. One `Half` a stream and direction: header fields, where its data lies, trailers. Interim responses are passed over.
2. A push promise is the half of a request, in the direction that would have got it.
3. Frames that cannot be (a continuation of nothing, data behind the end) spoil their stream's half, not the others.
"""

from __future__ import annotations

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._hpack import MAX_BLOCK, UNKNOWN, Block, Field, HeaderDecoder
from kubeshark.pipeline.dissectors.web._http2_frames import HEADER, PREFACE, Flag, Frame, FrameType, read_frames

__all__ = ["Half", "SideReader", "read_side"]

CUT_FRAME = "incomplete: the last DATA frame was not captured whole"


class Half(Struct):
    """A request or a response as it lies in its side."""

    stream: int
    start: int
    end: int
    fields: list[Field] = field(default_factory=list)
    trailers: list[Field] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)  # of the data, without padding
    head_size: int = 0  # header blocks as they were coded, trailers included
    body_size: int = 0
    frames_size: int = 0  # its frames with their headers
    has_head: bool = False
    is_ended: bool = False
    is_promise: bool = False
    error: str = ""

    def value(self, name: bytes) -> bytes:
        """Return the first value of a header field, b"" without it."""
        return next((value for known, value in self.fields if known == name), b"")

    def trailing(self, name: bytes) -> bytes:
        """Return a value of the trailers, or of the header section where there are none."""
        return next((value for known, value in self.trailers if known == name), b"") or self.value(name)

    @property
    def is_unfinished(self) -> bool:
        """Its side ends before it, or inside its last frame."""
        return self.has_head and (self.error == CUT_FRAME or not (self.is_ended or self.error))

    @property
    def has_unknown(self) -> bool:
        return any(name == UNKNOWN for name, _ in self.fields)


class _Section(Struct):
    """A header block that is being collected (RFC 9113 §4.3)."""

    stream: int
    start: int
    flags: int
    promised: int = 0
    frames_size: int = 0
    data: bytearray = field(default_factory=bytearray)
    error: str = ""


class SideReader:
    """Reads the frames of one side in order."""

    def __init__(self, wire: Wire) -> None:
        self.halves: list[Half] = []
        self.resets: dict[int, int] = {}  # stream → error code
        self.goaway: tuple[int, int] | None = None  # (last stream, error code)
        self.has_preface = wire.data.startswith(PREFACE)
        self._wire = wire
        self._latest: dict[int, Half] = {}  # of each stream
        self._unended: dict[int, Half] = {}  # those that lost bytes may belong to
        self._decoder = HeaderDecoder(is_complete=not wire.starts_midway)
        self._section: _Section | None = None

    def read(self) -> None:
        frame = None
        for frame in read_frames(self._wire, len(PREFACE) if self.has_preface else 0):
            if frame.lost:
                self._lose(frame.start - frame.lost, frame.lost)
            self._take(frame)
        if self._section:
            self._end_section(self._section, len(self._wire.data), "truncated: the header block ends early")

    def _lose(self, at: int, count: int) -> None:
        """Bytes that are no frames: any stream that is open may have been meant."""
        gap = self._wire.gap_in(at, at + count)
        reason = (
            f"gap: {gap[2]} bytes missing at {gap[0]}" if gap else f"malformed: {count} bytes at {at} are no frames"
        )
        for half in self._unended.values():
            half.error = half.error or f"incomplete: {reason}"  # it lacks data if anything: its header section is there
        self._unended.clear()
        if self._section:
            self._end_section(self._section, at, f"{reason}, in the header block")
        self._decoder.forget()

    def _take(self, frame: Frame) -> None:
        if self._section and (frame.kind != FrameType.CONTINUATION or frame.stream != self._section.stream):
            self._end_section(self._section, frame.start, "malformed: the header block is not continued")
            self._decoder.forget()
        start, end = self._payload(frame)
        if frame.kind == FrameType.DATA:
            self._take_data(frame, start, end)
        elif frame.kind in (FrameType.HEADERS, FrameType.PUSH_PROMISE):
            promised = 0
            if frame.kind == FrameType.PUSH_PROMISE:
                promised = int.from_bytes(self._wire.data[start : start + 4], "big") & 0x7FFFFFFF
                start += 4
            self._section = _Section(frame.stream, frame.start, frame.flags, promised)
            self._collect(frame, start, end)
        elif frame.kind == FrameType.CONTINUATION and self._section:
            self._collect(frame, start, end)
        elif frame.kind == FrameType.RST_STREAM and end - start == 4:
            self.resets.setdefault(frame.stream, self._number(start))
        elif frame.kind == FrameType.GOAWAY and end - start >= 8:
            self.goaway = self._number(start) & 0x7FFFFFFF, self._number(start + 4)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._wire.data[at : at + 4], "big")

    def _payload(self, frame: Frame) -> tuple[int, int]:
        """Return where the payload lies without padding and priority (RFC 9113 §6.1, §6.2)."""
        start, end = frame.start + HEADER, frame.end
        if frame.flags & Flag.PADDED and frame.kind in (FrameType.DATA, FrameType.HEADERS, FrameType.PUSH_PROMISE):
            padding = self._wire.data[start] if start < end else 0
            start += 1
            end = end if frame.is_cut else end - padding
        if frame.flags & Flag.PRIORITY and frame.kind == FrameType.HEADERS:
            start += 5
        return start, max(start, end)

    def _half(self, stream: int, start: int) -> Half:
        half = self._latest.get(stream)
        if half is None:
            half = self._latest[stream] = self._unended[stream] = Half(stream, start, start)
            self.halves.append(half)
        return half

    def _end(self, half: Half) -> None:
        half.is_ended = True
        self._unended.pop(half.stream, None)

    def _take_data(self, frame: Frame, start: int, end: int) -> None:
        half = self._half(frame.stream, frame.start)
        half.end = frame.end
        half.frames_size += frame.end - frame.start
        if end > start:
            half.spans.append((start, end))
            half.body_size += end - start
        if gap := self._wire.gap_in(frame.start, frame.end):
            half.error = half.error or f"incomplete: gap: {gap[2]} bytes missing at {gap[0]}, in the body"
        elif frame.is_cut:
            half.error = half.error or CUT_FRAME
        if frame.flags & Flag.END_STREAM:
            self._end(half)

    def _collect(self, frame: Frame, start: int, end: int) -> None:
        """Add a fragment to the header block; decode it when it is complete, or as far as it was captured."""
        section, wire = self._section, self._wire
        assert section is not None
        section.frames_size += frame.end - frame.start
        gap = wire.gap_in(start, end)
        if len(section.data) + end - start > MAX_BLOCK:
            section.error = section.error or f"malformed: header block longer than {MAX_BLOCK} bytes"
        elif not section.error:
            section.data += wire.data[start : gap[0] if gap else end]
        if gap:
            section.error = section.error or f"gap: {gap[2]} bytes missing at {gap[0]}, in the header block"
        elif frame.is_cut:
            section.error = section.error or "truncated: the header block ends early"
        if frame.flags & Flag.END_HEADERS or section.error.startswith(("gap:", "truncated:")):
            self._end_section(section, frame.end, section.error)

    def _end_section(self, section: _Section, end: int, error: str) -> None:
        self._section = None
        block = self._decoder.decode(bytes(section.data))
        if error:
            self._decoder.forget()
        size = len(section.data)
        if section.promised:
            promise = Half(section.promised, section.start, end, block.fields, has_head=True, is_promise=True)
            promise.is_ended, promise.head_size, promise.error = True, size, error or block.error
            promise.frames_size = section.frames_size
            self.halves.append(promise)
            return
        half = self._half(section.stream, section.start)
        half.head_size += size
        half.frames_size += section.frames_size
        self._add_block(half, block, section)
        half.end = end
        half.error = half.error or error or block.error
        if section.flags & Flag.END_STREAM:
            self._end(half)

    def _add_block(self, half: Half, block: Block, section: _Section) -> None:
        if not half.has_head and (not half.spans or any(name.startswith(b":") for name, _ in block.fields)):
            half.fields, half.has_head = block.fields, True
        elif half.value(b":status").startswith(b"1") and not half.spans:  # that was an interim response
            half.fields, half.start, half.head_size = block.fields, section.start, len(section.data)
            half.frames_size = section.frames_size
        else:
            half.trailers += block.fields


def read_side(wire: Wire) -> SideReader:
    """Return what a side said, read to its end."""
    reader = SideReader(wire)
    reader.read()
    return reader
