"""The probes themselves: tls_probe.c loaded, bound to its maps, and attached to every libssl that is in use."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kubeshark.core_capture.ebpf import _calls, _tls_choice
from kubeshark.core_capture.ebpf._calls import EbpfError
from kubeshark.core_capture.ebpf._object import read_programs
from kubeshark.core_capture.ebpf._perf import attach_tracepoint, attach_uprobe
from kubeshark.core_capture.ebpf._processes import Functions, Library, TlsProcess, tls_processes
from kubeshark.core_capture.ebpf._ring import RingBuffer
from kubeshark.core_capture.ebpf._tls_choice import MAX_CHOSEN, PODS, has_pods, is_of_pods, keys_of, keys_of_pods
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

    def __init__(self, choices: Sequence[str], ring_bytes: int = RING_BYTES, *, must_exist: bool = True) -> None:
        self._are_pods = PODS in choices
        if self._are_pods and len(choices) > 1:
            raise UsageError(f"{PODS!r} chooses processes by itself", hint="leave the other choices out")
        self._choices = choices
        self.pods: frozenset[str] = frozenset()  # uids: whose processes are read from the next `refresh` on
        self._programs: dict[str, int] = {}
        self._attached: dict[tuple[int, int], list[int]] = {}  # by library
        self._closing: list[int] = []
        self._maps: dict[str, int] = {}
        self._keys: set[bytes] = set()
        self._known: dict[tuple[int, int], Functions] = {}
        self._counted: dict[str, int] = dict.fromkeys(_COUNTS, 0)
        programs = read_programs(OBJECT)
        processes = [] if self._are_pods else list(tls_processes(self._known, explains=False))  # nobody is named yet
        keys = [] if self._are_pods else keys_of(choices, processes, must_exist=must_exist)
        if must_exist and not processes:
            raise UsageError("no process uses libssl", hint='see "kubeshark capture --list-tls"')
        try:
            for name, (kind, key, value, entries) in _maps(ring_bytes).items():
                self._maps[name] = _calls.create_map(kind, name, key, value, entries)
            for name, program in programs.items():
                self._programs[name] = _calls.load_program(program.kind, name, program.bound(self._maps))
                self._closing.append(self._programs[name])
            for call in _SYSTEM_CALLS:
                self._closing.append(attach_tracepoint(self._programs["descriptor"], f"syscalls/sys_enter_{call}"))
            self._choose(keys)
            self._attach(processes, must_stand=must_exist)
            self._ring = RingBuffer(self._maps["ring"], ring_bytes)
        except BaseException:
            self._close_all()
            raise

    def refresh(self) -> None:
        """Look who is there now: attach to libraries that came, let those that nobody uses go. Raises EbpfError."""
        if self._are_pods:
            self._refresh_pods()
            return
        processes = list(tls_processes(self._known, explains=False))
        self._choose(keys_of(self._choices, processes, must_exist=False))
        self._attach(processes, must_stand=True)

    def _refresh_pods(self) -> None:
        """Choose first, then look for libraries: who is chosen no longer is not read while that goes on.

        Nothing stands in libraries that only others use: they pay nothing.
        """
        keys: list[bytes] = []
        try:
            keys = keys_of_pods(self.pods, _tls_choice.CGROUPS)
        finally:
            self._choose(keys)
        processes = tls_processes(self._known, explains=False) if keys else ()
        self._attach([each for each in processes if is_of_pods(each.cgroup, self.pods)], must_stand=True)
        if self.pods and not keys and not has_pods(_tls_choice.CGROUPS):
            raise EbpfError(
                f"{_tls_choice.CGROUPS} has no control groups of pods",
                hint="mount the node's tree there; of version 2, which kernels tell processes by",
            )

    def _choose(self, keys: Sequence[bytes]) -> None:
        """Read these, and nobody else: the number of a process that ended may be another's."""
        gone = self._keys.difference(keys)
        _calls.delete_all(self._maps["chosen"], sorted(gone))
        came = sorted(set(keys) - self._keys)
        _calls.update_all(self._maps["chosen"], came, [b"\1"] * len(came))
        self._keys = set(keys)

    def _attach(self, processes: Sequence[TlsProcess], *, must_stand: bool) -> None:
        """Probe all libraries; raise what kept probes from one: they stand in the others, the next look tries again."""
        failure: EbpfError | None = None
        libraries: dict[tuple[int, int], list[Library]] = {}
        for each in processes:
            if each.library:
                libraries.setdefault(each.library.key, []).append(each.library)
        for key in self._attached.keys() - libraries.keys():
            for fd in self._attached.pop(key):
                os.close(fd)
            self._known.pop(key, None)
        for key in libraries.keys() - self._attached.keys():
            try:
                if fds := self._probes(libraries[key]):
                    self._attached[key] = fds
            except EbpfError as error:
                failure = failure or error
        if failure is not None and must_stand:
            raise failure

    def _probes(self, ways: Sequence[Library]) -> list[int]:
        """Attach to a library by the path of one of those who use it: who has ended meanwhile has none any more.

        Nobody is left if all have; the next look says so.
        """
        for library in ways:
            try:
                return self._probe(library)
            except EbpfError:
                if library.path.exists():
                    raise
        return []

    def _probe(self, library: Library) -> list[int]:
        """Attach to a library, whole or not at all."""
        attached: list[int] = []
        try:
            for function, offset in self._known[library.key].items():
                attached.append(attach_uprobe(self._programs[function], library.path, offset, at_return=False))
                if function != "SSL_free":
                    attached.append(attach_uprobe(self._programs["leave"], library.path, offset, at_return=True))
        except EbpfError:
            for fd in attached:
                os.close(fd)
            raise
        return attached

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
        probes = [fd for fds in self._attached.values() for fd in fds]
        for fd in (*probes, *reversed(self._closing), *self._maps.values()):
            os.close(fd)
        self._attached.clear()
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
