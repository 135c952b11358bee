"""Where MQTT packets go on behind bytes that are none: a gap, a damaged packet, a capture that begins inside a PUBLISH.

MQTT has no marks: a packet is one byte of type and flags and a length, so payloads are full of what looks like packets.
1. A place is taken if packets whose fields are all possible (MQTT 5.0 §2, §3) follow each other from it, until they are
   worth ENOUGH or the data ends with the last of them.
2. A packet is worth what its fields say: of random bytes one place in 100 000 looks like a PUBLISH, one in 10 000 like
   an acknowledgement.
3. Searching is linear: a place costs at most ENOUGH packets, and of each MAX_TOPIC bytes or MAX_ITEMS items.
"""

from __future__ import annotations

import re
import sys

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._mqtt_properties import PROPERTIES, TOPIC_ALIAS, Cursor, Short

__all__ = ["resume"]

ENOUGH = 4
MAX_TOPIC = 1_024
MAX_ITEMS = 16
"""Properties and topics of a packet that is taken for evidence."""
MAX_CODES = 1_024
_PLACES = re.compile(
    rb"\x10(?=[\x80-\xff]{0,3}[\x00-\x7f]\x00[\x04\x06]MQ)"
    rb"|[\x30-\x35\x38-\x3d](?=[\x80-\xff]{0,3}[\x00-\x7f][\x00-\x04])"
    rb"|[\x40\x50\x62\x6a\x70\x82\x8a\x90\xa2\xaa\xb0](?=[\x02-\xff])"
    rb"|\x20(?=[\x02-\xff])|[\xc0\xd0](?=\x00)|[\xe0\xf0]"
)
"""First bytes and what can follow them: finds places without a step of Python for each byte."""
_TOPIC = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_CODES = frozenset((*range(5), 0x10, 0x11, 0x18, 0x19, *range(0x80, 0xA3)))
"""Reason codes (MQTT 5.0 §2.4)."""
_CODE_BYTES = bytes(sorted(_CODES))
_RETURN_CODES = 6  # of CONNACK (MQTT 3.1.1 §3.2.2.3)
_NAMES = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")


def resume(wire: Wire, at: int, limit: int = sys.maxsize) -> int:
    """Return where packets go on, from `at` on and before `limit`; the end of the data if nowhere."""
    for place in _PLACES.finditer(wire.data, at, limit):
        if _goes_on(wire, place.start()):
            return place.start()
    return len(wire.data)


def _goes_on(wire: Wire, at: int) -> bool:
    worth, size = 0, len(wire.data)
    while at < size and worth < ENOUGH:
        if wire.gaps and worth > 1 and wire.gap_in(at, at + 2):
            return True  # what follows was not captured
        end, more = _packet(wire, at)
        if not end:
            return False
        at, worth = end, worth + more
    return worth >= ENOUGH or (at == size and worth > 0)


def _packet(wire: Wire, at: int) -> tuple[int, int]:
    """Return (where the packet at `at` ends, what it is worth); (0, 0) if there is none. It may end behind the data."""
    data, size = wire.data, len(wire.data)
    if not _PLACES.match(data, at):
        return 0, 0
    header = Cursor(data, at + 1, min(size, at + 5))
    try:
        length = header.variable()
        end = wire.after(header.at, length)
        worth = _worth(data[at], Cursor(data, header.at, min(size, end)), length)
    except Short:
        return 0, 0
    if end > size and data[at] >> 4 != 3:
        return 0, 0  # of those that are cut only a PUBLISH has said enough
    return (end, worth) if worth else (0, 0)


def _worth(first: int, body: Cursor, length: int) -> int:
    """Return what a packet's fields say for it, 0 if they cannot be; raise Short if they do not fit."""
    kind = first >> 4
    if kind == 1:
        return ENOUGH if body.data.startswith(_NAMES, body.at) else 0
    if kind == 2:
        is_good, code = body.number(1) <= 1, body.number(1)
        if length == 2:
            return int(is_good and code < _RETURN_CODES)
        return int(is_good and code in _CODES and _ends_with_properties(body))
    if kind in (12, 13):
        return int(length == 0)
    if kind in (14, 15):
        return int(_ends_with_reason(body))
    if kind == 3:
        return 2 if _is_publish(body, has_id=first & 6 != 0) else 0
    if not body.number(2):
        return 0
    if kind in (4, 5, 6, 7):
        return int(_ends_with_reason(body))
    if kind in (8, 10):
        return 2 if _ends_with_topics(body, with_options=kind == 8) else 0
    if kind == 11 and length == 2:
        return 1
    return int(_ends_with_codes(body))


def _is_publish(body: Cursor, *, has_id: bool) -> bool:
    """Say whether a PUBLISH has a topic, or the alias of one (MQTT 5.0 §3.3.2.3.4)."""
    is_alias = body.data.startswith(b"\0\0", body.at)
    if is_alias:
        body.take(2)
    elif not _is_topic(body):
        return False
    if has_id and not body.number(2):
        return False
    return not is_alias or TOPIC_ALIAS in _skip_properties(body)


def _is_topic(body: Cursor, *, is_filter: bool = False) -> bool:
    size = body.number(2)
    if size > MAX_TOPIC:
        return False
    try:
        topic = body.take(size).decode()
    except UnicodeDecodeError:
        return False
    if not is_filter and ("+" in topic or "#" in topic):
        return False
    return bool(_TOPIC.fullmatch(topic))


def _ends_with_reason(body: Cursor) -> bool:
    """Say whether the rest is a reason code and properties, both of which may be left out."""
    if body.at == body.end:
        return True
    return body.number(1) in _CODES and (body.at == body.end or _ends_with_properties(body))


def _ends_with_properties(body: Cursor) -> bool:
    _skip_properties(body)
    return body.at == body.end


def _skip_properties(body: Cursor) -> set[int]:
    """Go behind properties; return which there are. Raise Short if they are too many, or one is none."""
    size = body.variable()
    if size > body.end - body.at:
        raise Short
    inner = Cursor(body.data, body.at, body.at + size)
    body.at += size
    found: set[int] = set()
    for _ in range(MAX_ITEMS):
        if inner.at == inner.end:
            break
        number = inner.variable()
        if number not in PROPERTIES:
            raise Short
        found.add(number)
        inner.value(PROPERTIES[number][1])
    if inner.at < inner.end:
        raise Short
    return found


def _ends_with_topics(body: Cursor, *, with_options: bool) -> bool:
    """Say whether the rest is topics, of version 5 behind properties."""
    start = body.at
    for is_new in (False, True):
        body.at = start
        try:
            if is_new:
                _skip_properties(body)
            if body.at < body.end and _are_topics(body, with_options=with_options):
                return True
        except Short:
            continue
    return False


def _are_topics(body: Cursor, *, with_options: bool) -> bool:
    for _ in range(MAX_ITEMS):
        if body.at == body.end:
            break
        if not _is_topic(body, is_filter=True):
            return False
        if with_options and ((options := body.number(1)) >= 0x40 or options & 3 == 3):
            return False
    return body.at == body.end


def _ends_with_codes(body: Cursor) -> bool:
    """Say whether the rest is reason codes, of version 5 behind properties."""
    start = body.at
    if start == body.end:
        return False
    if _are_codes(body):
        return True
    _skip_properties(body)
    return body.at < body.end and _are_codes(body)


def _are_codes(body: Cursor) -> bool:
    return not body.data[body.at : min(body.end, body.at + MAX_CODES)].translate(None, _CODE_BYTES)
