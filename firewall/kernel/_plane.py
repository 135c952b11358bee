"""One attachment's data plane: its maps, its programs, and the policy in them.

1. The idle slot is filled, then one write of 16 bytes flips; packets see the old policy or the new one, whole.
2. Before the idle slot is touched every processor has left it: it was live until the last flip.
3. The old policy stays in the idle slot until the next fill: that is what `roll_back` goes back to.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from kubeshark.core_capture.ebpf import _calls, read_programs
from kubeshark.firewall._errors import FirewallError, firewall_failed
from kubeshark.firewall.kernel._fill import CLASSES, PORT_TABLES, REJECTS_PER_SECOND, VECTOR_BYTES, fill
from kubeshark.firewall.rules._address_tree import NODE_BYTES, NODES
from kubeshark.firewall.rules._model import IDLE_NS, MAX_FLOWS
from kubeshark.firewall.rules._rules import MAX_RULES, Reason, RuleSet

__all__ = ["MAPS", "RING_BYTES", "Count", "Counters", "Plane"]

OBJECT = Path(__file__).parents[1] / "bpf" / "firewall.o"
"""The programs, built by core_capture/ebpf/build_ebpf.py at set-up; a part of the wheel."""

RING_BYTES = 1 << 20
MAX_NETWORKS = 1 << 18
COUNTERS = MAX_RULES + 16
SCRATCH_BYTES = 464
_EXTRA = ("connect", "lost", "reported", "answered", "silent")
"""Counters behind those of Reason, in the order of firewall.c."""

MAPS: dict[str, tuple[int, int, int, int, int]] = {  # kind, key and value in bytes, entries, flags
    "live": (_calls.ARRAY, 4, 16, 1, 0),
    "policies": (_calls.ARRAY, 4, 88 + MAX_RULES, 2, 0),
    "classes": (_calls.ARRAY, 4, VECTOR_BYTES, 2 * CLASSES, 0),
    "ports": (_calls.ARRAY, 4, 2 * 65536, 4 * PORT_TABLES, 0),
    "protocols": (_calls.ARRAY, 4, 2 * 256, 4, 0),
    "nodes": (_calls.ARRAY, 4, NODE_BYTES, 2 * NODES, 0),
    "addresses4": (_calls.LPM_TRIE, 12, VECTOR_BYTES, MAX_NETWORKS, _calls.NO_PREALLOC),
    "addresses6": (_calls.LPM_TRIE, 24, VECTOR_BYTES, MAX_NETWORKS, _calls.NO_PREALLOC),
    "local4": (_calls.LPM_TRIE, 12, 1, 1024, _calls.NO_PREALLOC),
    "local6": (_calls.LPM_TRIE, 24, 1, 1024, _calls.NO_PREALLOC),
    "flows_opening": (_calls.LRU_HASH, 40, 16, MAX_FLOWS, 0),
    "flows_answered": (_calls.LRU_HASH, 40, 16, MAX_FLOWS, 0),
    "counters": (_calls.PERCPU_ARRAY, 4, 16, 2 * COUNTERS, 0),
    "events": (_calls.RINGBUF, 0, 0, RING_BYTES, 0),
    "answers": (_calls.ARRAY, 4, 16, 1, 0),
    "scratches": (_calls.PERCPU_ARRAY, 4, SCRATCH_BYTES, 1, 0),
}
_TRIES = ("addresses4", "addresses6")
_FIRST = struct.pack("<I", 0)


@dataclass(frozen=True, slots=True)
class Count:
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the generation was filled. A packet counts once in `rules` or `reasons`; Audit and dry rules besides."""

    rules: tuple[Count, ...]
    reasons: dict[Reason, Count]
    refused_connects: int
    reported: int  # events written; with `lost` all that were to be written
    lost: int
    answered: int  # by Reject
    silent: int  # over its rate


class Plane:
    """Owns the descriptors of maps and programs; closing it detaches nothing that is pinned or linked elsewhere."""

    def __init__(self, maps: dict[str, int], object_file: Path = OBJECT) -> None:
        self.maps = maps
        self._code = read_programs(object_file)
        self._programs: dict[str, int] = {}
        self._keys: list[dict[str, list[bytes]]] = [{}, {}]
        self._rules: list[RuleSet] = [RuleSet(()), RuleSet(())]
        self._processors = _calls.possible_processors()
        self._has_previous = False
        self.generation, self._slot, self._mark = 0, 0, 0

    @classmethod
    def create(cls, object_file: Path = OBJECT) -> Plane:
        """Make the maps; nothing is judged yet but by an empty policy, which accepts."""
        read_programs(object_file)  # what cannot be loaded is told before anything is made
        maps: dict[str, int] = {}
        try:
            for name, (kind, key, value, entries, flags) in MAPS.items():
                maps[name] = _calls.create_map(kind, name, key, value, entries, flags)
            plane = cls(maps, object_file)
            plane._mark = secrets.randbits(31) | 1 << 31
            plane._fill(RuleSet(()), 0, {})
            plane._write_live()
        except BaseException:
            for fd in maps.values():
                os.close(fd)
            raise
        return plane

    @classmethod
    def pinned(cls, folder: Path, rules: RuleSet) -> Plane:
        """Take over the maps that an earlier process pinned, and the policy in them, which is `rules`."""
        maps: dict[str, int] = {}
        try:
            for name in MAPS:
                maps[name] = _calls.open_pin(folder / name)
        except OSError as error:
            for fd in maps.values():
                os.close(fd)
            raise firewall_failed(f"{folder} holds no firewall that could be taken over", error.errno or 0) from error
        plane = cls(maps)
        live = _calls.look_up(maps["live"], _FIRST, 16) or bytes(16)
        plane.generation, plane._slot, plane._mark = struct.unpack_from("<III", live)
        for slot in (0, 1):
            for name in _TRIES:
                plane._keys[slot][name] = [key for key in plane._all_keys(name) if key[4] == slot]
        plane._rules[plane._slot] = rules
        return plane

    def _all_keys(self, name: str) -> Iterable[bytes]:
        key = None
        while (key := _calls.next_key(self.maps[name], key, MAPS[name][1])) is not None:
            yield key

    def pin(self, folder: Path) -> None:
        for name, fd in self.maps.items():
            _calls.pin(fd, folder / name)

    def program(self, name: str) -> int:
        """Return a program's descriptor; loaded when it is first asked for."""
        if name not in self._programs:
            code = self._code[name]
            self._programs[name] = _calls.load_program(code.kind, name, code.bound(self.maps), code.expected)
        return self._programs[name]

    def apply(self, rules: RuleSet, **options: Any) -> int:
        """Replace the policy whole; return the generation. After an error the old one stays. Options: of `fill`."""
        _calls.wait_for_readers()
        try:
            self._fill(rules, self._slot ^ 1, options)
        except OSError as error:
            raise firewall_failed("the policy was not loaded", error.errno or 0) from error
        self._flip()
        self._has_previous = True
        return self.generation

    def roll_back(self) -> int:
        """Flip back to the policy before, once; return the generation, which is a new one."""
        if not self._has_previous:
            raise FirewallError("firewall: there is no policy before this one", hint="apply one")
        self._flip()
        return self.generation

    @property
    def rules(self) -> RuleSet:
        return self._rules[self._slot]

    def _flip(self) -> None:
        self._slot ^= 1
        self.generation += 1
        self._write_live()

    def _write_live(self) -> None:
        _calls.update(self.maps["live"], _FIRST, struct.pack("<IIII", self.generation, self._slot, self._mark, 0))

    def _fill(self, rules: RuleSet, slot: int, options: dict[str, Any]) -> None:
        filled = fill(rules, slot, **{"answers": REJECTS_PER_SECOND, "idle_ns": IDLE_NS, **options})
        old = self._keys[slot]
        for name, entries in filled.entries.items():
            if name in _TRIES:
                keep = {key for key, _ in entries}
                _calls.delete_all(self.maps[name], [key for key in old.get(name, ()) if key not in keep])
                old[name] = list(keep)
            _calls.update_all(self.maps[name], [key for key, _ in entries], [value for _, value in entries])
        _calls.update(self.maps["policies"], struct.pack("<I", slot), filled.policy)
        zero = bytes(16 * self._processors)
        keys = [struct.pack("<I", slot * COUNTERS + index) for index in range(COUNTERS)]
        _calls.update_all(self.maps["counters"], keys, [zero] * COUNTERS)
        self._rules[slot] = rules

    def set_local(self, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Say which addresses are this machine's own: connect() to them never leaves it, and is not judged."""
        networks = [(4, 8, bytes([127, 0, 0, 0])), (6, 128, IPv6Address("::1").packed)]
        networks += [(each.version, each.max_prefixlen, each.packed) for each in addresses]
        for version, length, packed in networks[:1000]:
            _calls.update(self.maps[f"local{version}"], struct.pack("<II", 32 + length, 0) + packed, b"\1")

    def counters(self, *, before: bool = False) -> Counters:
        """Return the counters, or those of the policy `before` until the next one is filled."""
        slot = self._slot ^ before
        if before:
            _calls.wait_for_readers()
        counts = [self._count(index, slot) for index in range(COUNTERS)]
        extra = dict(zip(_EXTRA, counts[MAX_RULES + len(Reason) :], strict=False))
        return Counters(
            rules=tuple(counts[: len(self._rules[slot].rules)]),
            reasons={each: counts[MAX_RULES + each] for each in Reason if each != Reason.RULE},
            refused_connects=extra["connect"].packets,
            reported=extra["reported"].packets,
            lost=extra["lost"].packets,
            answered=extra["answered"].packets,
            silent=extra["silent"].packets,
        )

    def _count(self, index: int, slot: int) -> Count:
        key = struct.pack("<I", slot * COUNTERS + index)
        held = _calls.look_up(self.maps["counters"], key, 16 * self._processors) or bytes(16 * self._processors)
        values = struct.unpack(f"<{2 * self._processors}Q", held)
        return Count(sum(values[::2]), sum(values[1::2]))

    def forget_flows(self) -> None:
        """Empty the flow table: every connection is judged as if it were new."""
        for name in ("flows_opening", "flows_answered"):
            _calls.delete_all(self.maps[name], list(self._all_keys(name)))

    def close(self) -> None:
        for fd in (*self._programs.values(), *self.maps.values()):
            os.close(fd)
        self._programs, self.maps = {}, {}

    def __enter__(self) -> Plane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
