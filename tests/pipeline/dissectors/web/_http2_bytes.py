"""HTTP/2 by hand: frames from RFC 9113, header blocks from the `hpack` package's encoder."""

from __future__ import annotations

from collections.abc import Sequence

from hpack import Encoder

__all__ = ["PREFACE", "SETTINGS", "Talker", "frame", "grpc_message"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, PUSH_PROMISE, GOAWAY, CONTINUATION = 0, 1, 3, 5, 7, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 0x20


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4, 0, b"\0\x03\0\0\0\x64")


class Talker:
    """One end of a connection: what it says is appended to `said`."""

    def __init__(self, said: bytes = b"") -> None:
        self.said = said
        self._encoder = Encoder()

    def block(self, fields: Sequence[tuple[str, str]]) -> bytes:
        return bytes(self._encoder.encode(fields))

    def headers(self, stream: int, *fields: tuple[str, str], end: bool = False, pieces: int = 1) -> Talker:
        block = self.block(fields)
        cuts = [len(block) * at // pieces for at in range(pieces + 1)]
        for at in range(pieces):
            flags = (END_HEADERS if at == pieces - 1 else 0) | (END_STREAM if end and at == 0 else 0)
            self.said += frame(CONTINUATION if at else HEADERS, stream, block[cuts[at] : cuts[at + 1]], flags)
        return self

    def request(self, stream: int, method: str, path: str, *more: tuple[str, str], end: bool = True) -> Talker:
        pseudo = ((":method", method), (":scheme", "http"), (":path", path), (":authority", "shop:8080"))
        return self.headers(stream, *pseudo, *more, end=end)

    def response(self, stream: int, status: int, *more: tuple[str, str], end: bool = False) -> Talker:
        return self.headers(stream, (":status", str(status)), *more, end=end)

    def data(self, stream: int, data: bytes, *, end: bool = True) -> Talker:
        self.said += frame(DATA, stream, data, END_STREAM if end else 0)
        return self

    def add(self, data: bytes) -> Talker:
        self.said += data
        return self


def grpc_message(data: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(data).to_bytes(4, "big") + data
