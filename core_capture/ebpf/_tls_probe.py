"""The probes themselves: tls_probe.c loaded, bound to its maps, and attached to every libssl that is in use."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kubeshark.core_capture.ebpf import _calls
from kubeshark.core_capture.ebpf._object import read_programs
from kubeshark.core_capture.ebpf._perf import attach_tracepoint, attach_uprobe
from kubeshark.core_capture.ebpf._processes import Library, functions_of, tls_processes
from kubeshark.core_capture.ebpf._ring import RingBuffer
from kubeshark.core_capture.ebpf._tls_choice import MAX_CHOSEN, keys_of
from kubeshark.core_capture.ebpf._tls_events import TlsEvent, parse_event
from kubeshark.errors import UsageError

__all__ = ["MAX_CONNECTIONS", "OBJECT", "TlsProbe"]

OBJECT: Final = Path(__file__).with_name("tls_probe.o")
"""Built by build_ebpf.py at set-up; a part of the wheel."""

MAX_CONNECTIONS: Final = 65_536
RING_BYTES: Final = 16 << 20
_EVENT_BYTES: Final = 48 + 16_384
_COUNTS: Final = ("events_lost", "bytes_lost", "events", "bytes")  # as the program numbers them
_SYSTEM_CALLS: Final = ("read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg")


class TlsProbe:
    """Attached from when it is made until `close`. See TlsSource for what it raises."""

    def __init__(self, choices: Sequence[str], ring_bytes: int = RING_BYTES) -> None:
        self._closing: list[int] = []
        self._maps: dict[str, int] = {}
        self._counted = dict.fromkeys(_COUNTS, 0)
        programs = read_programs(OBJECT)
        processes = list(tls_processes())
        keys = keys_of(choices, processes)
        libraries = {each.library.key: each.library for each in processes if each.library}
        if not libraries:
            raise UsageError("no process uses libssl", hint='see "kubeshark capture --list-tls"')
        try:
            for name, (kind, key, value, entries) in _maps(ring_bytes).items():
                self._maps[name] = _calls.create_map(kind, name, key, value, entries)
            _calls.update_all(self._maps["chosen"], keys, [b"\1"] * len(keys))
            loaded: dict[str, int] = {}
            for name, program in programs.items():
                loaded[name] = _calls.load_program(program.kind, name, program.bound(self._maps))
                self._closing.append(loaded[name])
            for call in _SYSTEM_CALLS:
                self._closing.append(attach_tracepoint(loaded["descriptor"], f"syscalls/sys_enter_{call}"))
            for library in libraries.values():
                self._attach(library, loaded)
            self._ring = RingBuffer(self._maps["ring"], ring_bytes)
        except BaseException:
            self._close_all()
            raise

    def _attach(self, library: Library, loaded: dict[str, int]) -> None:
        for function, offset in functions_of(library.path).items():
            self._closing.append(attach_uprobe(loaded[function], library.path, offset, at_return=False))
            if function != "SSL_free":
                self._closing.append(attach_uprobe(loaded["leave"], library.path, offset, at_return=True))

    def fileno(self) -> int:
        """What can be polled: readable while there are events."""
        return self._maps["ring"]

    def events(self) -> Iterator[TlsEvent]:
        """Take what is there."""
        return filter(None, map(parse_event, self._ring.read()))

    def counts(self) -> dict[str, int]:
        """What the kernel counted: `events` and `bytes` told, `events_lost` and `bytes_lost`; also once closed."""
        if fd := self._maps.get("counts"):
            processors = _calls.possible_processors()
            for number, name in enumerate(_COUNTS):
                values = _calls.look_up(fd, struct.pack("<I", number), 8 * processors)
                self._counted[name] = sum(struct.unpack(f"<{processors}Q", values)) if values else 0
        return dict(self._counted)

    def close(self) -> None:
        """Detach. Twice is fine."""
        if self._maps:
            self.counts()
            self._ring.close()
            self._close_all()

    def _close_all(self) -> None:
        for fd in (*reversed(self._closing), *self._maps.values()):
            os.close(fd)
        self._closing.clear()
        self._maps.clear()


def _maps(ring_bytes: int) -> dict[str, tuple[int, int, int, int]]:
    """Name → kind, key and value in bytes, entries."""
    return {
        "calls": (_calls.LRU_HASH, 8, 32, 16_384),
        "connections": (_calls.LRU_HASH, 16, 24, MAX_CONNECTIONS),
        "chosen": (_calls.HASH, 8, 1, MAX_CHOSEN),
        "counts": (_calls.PERCPU_ARRAY, 4, 8, len(_COUNTS)),
        "scratch": (_calls.PERCPU_ARRAY, 4, _EVENT_BYTES, 1),
        "ring": (_calls.RINGBUF, 0, 0, ring_bytes),
    }
