"""A libpcap filter for packets that are in memory: libpcap compiles it, and runs it, too."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture.live import _bpf

__all__ = ["PacketFilter"]

_SNAPLEN = 262_144
_SIZES = struct.Struct("<II")  # captured, original: behind the time in a record's header
_HEADER_BYTES = 16


class PacketFilter:
    """Says which pcap records an expression lets through, as tcpdump does for a file of their link type."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._programs: dict[int, Any] = {}

    def compile(self, link_type: int) -> Any:
        """Return the program for a link type; raise UsageError with libpcap's words, CaptureError without libpcap."""
        if link_type not in self._programs:
            program = _bpf.pack(_bpf.compile_for_file(self._expression, link_type, _SNAPLEN))
            self._programs[link_type] = ctypes.create_string_buffer(program, len(program))
        return self._programs[link_type]

    def match(self, link_type: int, data: bytes | bytearray | memoryview, offsets: NDArray[Any]) -> NDArray[np.bool_]:
        """Return one bool for each record that begins at these offsets of `data`."""
        program, run = self.compile(link_type), _bpf.runner()
        view = np.frombuffer(data, dtype=np.uint8)
        base = view.ctypes.data if len(view) else 0
        matched = np.zeros(len(offsets), dtype=np.bool_)
        for at, offset in enumerate(offsets.tolist()):
            captured, original = _SIZES.unpack_from(data, offset + 8)
            start = offset + _HEADER_BYTES
            matched[at] = run(program, base + start, original, min(captured, len(view) - start)) != 0
        return matched
