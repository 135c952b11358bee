"""Reads an interface through a ring in memory that it shares with the kernel (TPACKET_V3): no system call a packet.

The C core copies (native/ring.c); this makes the ring, and lets it go. Its oracle is _plain.py.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from typing import Any

from kubeshark.core_capture.live._interfaces import COOKED, NetworkInterface
from kubeshark.core_capture.live._options import Again, Counters, LiveOptions, Room
from kubeshark.core_capture.live._socket import SOL_PACKET, open_socket
from kubeshark.errors import CaptureError

__all__ = ["RingReader"]

BLOCK_BYTES = 1 << 20  # a packet never spans two: with GSO it may have 64 KiB, or half a MiB with BIG TCP
MIN_BLOCKS = 4
RETIRE_MS = 50  # a block that is not full is handed over after so long: what a live view lags behind
IMMEDIATE_MS = 1
BATCH_BYTES = BLOCK_BYTES + (1 << 19)
"""Of records at once: a whole block of small packets, and room for the largest packet behind it."""

COPIED_BYTES = BATCH_BYTES // 4
"""A smaller batch is copied out of the memory it was read into: a queue of them would hold as much as of full ones."""

_FRAME_BYTES = 2048  # not used by version 3, but checked
_RX_RING, _VERSION, _V3 = 5, 10, 2


class RingReader:
    """A `PacketReader`. Raises ImportError where the C core was not built."""

    def __init__(self, interface: NetworkInterface, options: LiveOptions) -> None:
        from kubeshark.core_capture._core_native import ffi, lib

        if not hasattr(lib, "kc_ring_read"):
            raise ImportError("kubeshark.core_capture._core_native was built before there was a ring reader")
        self._ffi, self._lib = ffi, lib
        self._counters = Counters()
        self.socket = open_socket(interface, options)
        try:
            self._blocks, self._ring = _make_ring(
                self.socket, interface.name, options.ring_bytes, IMMEDIATE_MS if options.is_immediate else RETIRE_MS
            )
        except BaseException:
            self.socket.close()
            raise
        self._view: Any = ffi.from_buffer("uint8_t[]", self._ring, require_writable=True)
        self._state: Any = ffi.new("kc_ring *")
        self._state.snaplen = options.snaplen
        self._state.cooked = interface.link_type == COOKED
        self._link_type = interface.link_type
        self._new: Any = ffi.new_allocator(should_clear_after_alloc=False)
        self._own = self._make()

    @property
    def counters(self) -> Counters:
        state = self._state
        self._counters.delivered = int(state.delivered)
        self._counters.damaged = int(state.damaged)
        self._counters.truncated = int(state.truncated)
        self._counters.stamped = int(state.stamped)
        return self._counters

    def read(self, room: Room | None = None, again: Again | None = None) -> tuple[bytes | memoryview, int] | None:
        before, own = self._state.delivered, self._own
        lent = None if room is None else room(self._link_type, BATCH_BYTES)
        if lent is not None:
            size = self._fill(lent)
            while again is not None and len(lent) - size >= BATCH_BYTES and again():
                size += self._fill(lent[size:])
            return (lent[:size].toreadonly(), int(self._state.delivered - before)) if size else None
        size = self._fill(own)
        if not size:
            return None
        count = int(self._state.delivered - before)
        if size < COPIED_BYTES:
            return own[:size].tobytes(), count
        self._own = self._make()
        return own[:size].toreadonly(), count

    def _fill(self, out: memoryview) -> int:
        """Copy what the kernel handed over, without the GIL; return its bytes."""
        target = self._ffi.from_buffer("uint8_t[]", out, require_writable=True)
        return int(self._lib.kc_ring_read(self._state, self._view, BLOCK_BYTES, self._blocks, target, len(out)))

    def _make(self) -> memoryview:
        return memoryview(self._ffi.buffer(self._new("uint8_t[]", BATCH_BYTES)))

    def close(self) -> None:
        if self.socket.fileno() < 0:
            return
        self._ffi.release(self._view)
        self._ring.close()
        self.socket.close()


def _make_ring(opened: socket.socket, name: str, size: int, retire_ms: int) -> tuple[int, mmap.mmap]:
    """Return the number of blocks and their memory; fewer than asked for where memory is short."""
    blocks = max(size // BLOCK_BYTES, MIN_BLOCKS)
    opened.setsockopt(SOL_PACKET, _VERSION, _V3)
    while True:
        frames = blocks * (BLOCK_BYTES // _FRAME_BYTES)
        request = struct.pack("7I", BLOCK_BYTES, blocks, _FRAME_BYTES, frames, retire_ms, 0, 0)
        try:
            opened.setsockopt(SOL_PACKET, _RX_RING, request)
            return blocks, mmap.mmap(opened.fileno(), blocks * BLOCK_BYTES, mmap.MAP_SHARED)
        except OSError as error:
            if error.errno != errno.ENOMEM or blocks == MIN_BLOCKS:
                raise CaptureError(f"no ring of {blocks} MiB for {name}: {error.strerror}") from error
            blocks = max(blocks // 2, MIN_BLOCKS)
