"""Downloads, sent while they are made."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import BinaryIO, cast

from starlette.responses import StreamingResponse

from kubeshark.errors import KubesharkError
from kubeshark.hub.answers._client import Client
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.hub.state._hub import complain

__all__ = ["MEDIA", "PROBLEMS", "download"]

MEDIA = {
    "pcap": "application/vnd.tcpdump.pcap",
    "pcapng": "application/x-pcapng",
    "har": "application/json",
}
PIECES = 16
PIECE_BYTES = 64 << 10
MAX_PROBLEMS = 20
PROBLEM_CHARACTERS = 300
PROBLEMS = "kubeshark-problems"
"""Header of a download: a JSON list of why something may be missing, such as workers that are away."""


def download(client: Client, write: Callable[[BinaryIO], None], name: str, media: str) -> StreamingResponse:
    """Answer with what `write` writes, as it is written. What fails before the first byte is raised here."""
    sink, hub = _Sink(client.has_left), client.hub

    def run() -> None:
        try:
            with hub.pool.turn(gave_up=lambda: sink.is_closed, is_admitted=True) as turn:
                if turn.take():
                    write(cast(BinaryIO, sink))
            sink.finish(None)
        except BrokenPipeError:
            sink.finish(None)  # somebody may wait for the first piece
        except Exception as error:  # noqa: BLE001 (raised where somebody hears it)
            if not isinstance(error, KubesharkError):
                complain(f"an export failed: {type(error).__name__}: {error}")
            sink.finish(error)

    threading.Thread(target=run, name="kubeshark-export", daemon=True).start()
    first = sink.next()
    client.go_on()
    hub.figures.add(exports=1)

    def content() -> Generator[bytes, None, None]:
        piece = first
        try:
            while piece:
                hub.figures.add(export_bytes=len(piece))
                yield piece
                piece = sink.next()  # an error now ends the connection: the client sees that it is not whole
        finally:
            sink.close()

    headers = {"content-disposition": f'attachment; filename="{name}"'}
    if problems := hub.pipeline.store.problems:  # of the listing that this began with
        told = [str(problem)[:PROBLEM_CHARACTERS] for problem in problems[:MAX_PROBLEMS]]
        headers[PROBLEMS] = json.dumps(told)
    return ClosingStream(content(), media, headers)


class _Sink(io.RawIOBase):
    """A stream whose writer waits for whoever takes the pieces."""

    def __init__(self, has_left: Callable[[], bool]) -> None:
        self._has_left = has_left
        self._is_closed = False
        self._pieces: queue.Queue[bytes] = queue.Queue(PIECES)
        self._held = bytearray()
        self._error: Exception | None = None

    @property
    def is_closed(self) -> bool:
        return self._is_closed or self._has_left()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        if self.is_closed:
            raise BrokenPipeError
        self._held += data
        if len(self._held) >= PIECE_BYTES:
            self._put(bytes(self._held))
            self._held.clear()
        return len(data)

    def finish(self, error: Exception | None) -> None:
        self._error = error
        try:
            if self._held and error is None:
                self._put(bytes(self._held))
            self._put(b"")
        except BrokenPipeError:
            with suppress(queue.Full):  # then nobody waits
                self._pieces.put_nowait(b"")

    def next(self) -> bytes:
        """Return the next piece, b"" at the end; raise what went wrong."""
        piece = self._pieces.get()
        if not piece and self._error is not None:
            raise self._error
        return piece

    def close(self) -> None:
        self._is_closed = True
        super().close()

    def _put(self, piece: bytes) -> None:
        while not self.is_closed:
            try:
                self._pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return
        raise BrokenPipeError
