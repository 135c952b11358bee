"""memcached over UDP: the frame header, and which datagrams are one answer (protocol.txt, "UDP protocol").

What is too long for a datagram is cut anywhere; its datagrams are numbered from 0 and come in any order. An answer of
several values may come value by value, each numbered from 0 again (memcached 1.6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from struct import Struct as Layout

from msgspec import Struct, field

from kubeshark.extension_api import CLIENT, SERVER, Datagram

__all__ = ["HEADER_BYTES", "Joined", "continued", "joined"]

HEADER = Layout(">HHHH")  # request id, number of the datagram, how many there are, reserved
HEADER_BYTES = HEADER.size
MAX_JOINED = 16 << 20
"""Bytes of one answer; an item of the server has at most 1 MiB unless it is told to take more."""
MAX_OPEN = 1_000
"""Answers of one stream that wait for more of their datagrams."""


class Joined(Struct):
    """What some datagrams hold behind their headers."""

    direction: int
    request_id: int
    data: bytes
    places: list[tuple[int, int]]  # (offset in the data, index of the datagram) ascending
    error: str = ""
    is_rest: bool = False  # what it continues is not here

    def place(self, start: int, end: int) -> tuple[int, int, int]:
        """Return the datagram in which [start, end) of the data begins, and what of it is in there."""
        at = bisect_right(self.places, start, key=lambda place: place[0]) - 1
        offset, datagram = self.places[at]
        stop = self.places[at + 1][0] if at + 1 < len(self.places) else len(self.data)
        return datagram, HEADER_BYTES + start - offset, HEADER_BYTES + min(end, stop) - offset


class _Parts(Struct):
    """The datagrams of an answer, or of a request, that came so far: number → index."""

    count: int
    found: dict[int, int] = field(default_factory=dict)


def joined(datagrams: Sequence[Datagram]) -> Iterator[Joined]:
    """Return requests and answers, each when it is complete, or as far as it is when others use its request id."""
    open_: dict[tuple[int, int], _Parts] = {}
    for index, datagram in enumerate(datagrams):
        if len(datagram.data) <= HEADER_BYTES:
            continue
        request_id, number, count, _ = HEADER.unpack_from(datagram.data)
        key = datagram.direction, request_id
        is_part = number < count and count > 1
        if key in open_ and not (is_part and _is_of(open_[key], number, count, datagram, datagrams)):
            yield _join(key, open_.pop(key), datagrams)
        if datagram.direction == CLIENT and (SERVER, request_id) in open_:
            yield _join((SERVER, request_id), open_.pop((SERVER, request_id)), datagrams)
        if not is_part:
            yield _alone(key, index, datagram, is_rest=number > 0)
            continue
        if key not in open_ and len(open_) >= MAX_OPEN:
            oldest = next(iter(open_))
            yield _join(oldest, open_.pop(oldest), datagrams)
        parts = open_.setdefault(key, _Parts(count))
        parts.found.setdefault(number, index)
        if len(parts.found) == count:
            yield _join(key, open_.pop(key), datagrams)
    for key, parts in open_.items():
        yield _join(key, parts, datagrams)


def continued(parts: Iterable[Joined], goes_on: Callable[[Joined], bool]) -> Iterator[Joined]:
    """Join answers that came value by value; `goes_on` says whether one ends before its request is answered."""
    open_: dict[int, list[Joined]] = {}
    sizes: Counter[int] = Counter()
    for part in parts:
        before = open_.pop(part.request_id, [])
        size = sizes.pop(part.request_id, 0) + len(part.data)
        if before and (part.direction == CLIENT or part.is_rest or size > MAX_JOINED):
            yield _in_a_row(before)
            before, size = [], len(part.data)
        before.append(part)
        if part.direction == CLIENT or part.is_rest or not goes_on(part):
            yield _in_a_row(before)
            continue
        if len(open_) >= MAX_OPEN:
            yield _in_a_row(open_.pop(next(iter(open_))))
        open_[part.request_id], sizes[part.request_id] = before, size
    for before in open_.values():
        yield _in_a_row(before)


def _in_a_row(parts: Sequence[Joined]) -> Joined:
    if len(parts) == 1:
        return parts[0]
    starts = accumulate((len(part.data) for part in parts), initial=0)
    places = [(start + at, index) for start, part in zip(starts, parts, strict=False) for at, index in part.places]
    data, last = b"".join(part.data for part in parts), parts[-1]
    return Joined(last.direction, last.request_id, data, places, last.error)


def _is_of(parts: _Parts, number: int, count: int, datagram: Datagram, datagrams: Sequence[Datagram]) -> bool:
    """Say whether a datagram belongs to those: its number is missing among them, or it came twice."""
    known = parts.found.get(number)
    return count == parts.count and (known is None or datagrams[known].data == datagram.data)


def _alone(key: tuple[int, int], index: int, datagram: Datagram, *, is_rest: bool, error: str = "") -> Joined:
    return Joined(*key, bytes(datagram.data[HEADER_BYTES:]), [(0, index)], error, is_rest)


def _join(key: tuple[int, int], parts: _Parts, datagrams: Sequence[Datagram]) -> Joined:
    """Return what datagrams hold up to the first that is missing."""
    count, found = parts.count, parts.found
    missing = f"truncated: {count - len(found)} of {count} datagrams were not captured"
    if 0 not in found:
        first = min(found.values())
        return _alone(key, first, datagrams[first], is_rest=True, error=f"{missing}, among them the first")
    data, places, error = bytearray(), list[tuple[int, int]](), ""
    for number in range(count):
        index = found.get(number)
        if index is None:
            error = missing
            break
        payload = datagrams[index].data[HEADER_BYTES:]
        if len(data) + len(payload) > MAX_JOINED:
            error = f"truncated: more than {MAX_JOINED} bytes"
            break
        places.append((len(data), index))
        data += payload
        if datagrams[index].cut:
            error = f"truncated: datagram {number + 1} of {count} was not captured whole"
            break
    return Joined(*key, bytes(data), places, error)
