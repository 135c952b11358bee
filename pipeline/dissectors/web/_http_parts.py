"""Where the messages of a streaming body end on the wire: gRPC messages and server-sent events.

Only bodies that lie on the wire as they are can be told apart there: without content coding, and without gaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._grpc import is_grpc, message_ends
from kubeshark.pipeline.dissectors.web._http_body import ENCODED_LIMIT
from kubeshark.pipeline.dissectors.web._sse import MAX_EVENTS

__all__ = ["Parts", "comes_in_parts", "parts_of"]

Parts = list[tuple[int, str]]
"""(offset of a part's last byte in its side, label)."""
EVENTS = "text/event-stream"
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_DATA = re.compile(rb"^data(?::|$)", re.MULTILINE)


def comes_in_parts(media: str) -> bool:
    """Say whether a body of this media type consists of messages that mean something one by one."""
    return media == EVENTS or is_grpc(media)


def parts_of(media: str, coding: str, wire: Wire, spans: Callable[[], Sequence[tuple[int, int]]]) -> Parts:
    """Return the parts of a body whose bytes lie at `spans` of its side; none where they cannot be told."""
    find = _event_ends if media == EVENTS else message_ends
    if coding or wire.gaps or media.startswith("application/grpc-web-text"):
        return []
    body, places = bytearray(), list[tuple[int, int]]()  # where in the body each span begins, and on the wire
    for start, end in spans():
        places.append((len(body), start))
        body += wire.data[start : min(end, start + ENCODED_LIMIT - len(body))]
        if len(body) >= ENCODED_LIMIT:
            break
    found, at = Parts(), 0
    for end, label in find(bytes(body)):
        while at + 1 < len(places) and places[at + 1][0] < end:
            at += 1
        found.append((places[at][1] + end - 1 - places[at][0], label))
    return found


def _event_ends(body: bytes) -> Parts:
    found, start = Parts(), 0
    for blank in _EVENT_END.finditer(body):
        if _DATA.search(body, start, blank.start()):
            found.append((blank.end(), f"event {len(found) + 1}, {blank.end() - start} bytes"))
        start = blank.end()
        if len(found) == MAX_EVENTS:
            break
    return found
