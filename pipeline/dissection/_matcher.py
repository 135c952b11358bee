"""Pairs requests with responses: one exchange for each request, for each response nobody asked for, for each event.

The order of what comes out is part of entry ids, so it depends on the packets alone: by capture order of the packet
that brought the first byte (not by its time stamp: clocks jump), then by offset.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from kubeshark.extension_api import Message, MessageKind

__all__ = ["Exchange", "Timed", "pair"]


REQUEST, RESPONSE, EVENT = MessageKind  # as names of a module: looked up on an enum they cost a call


class Timed(Struct):
    """A message with the times of its first and last packet, and its place in capture order.

    `is_whole` is False where bytes of it were not captured, or where bytes before it were not and nothing confirms
    that it begins there: it is shown, with an error, but its fields do not answer filters.
    """

    message: Message
    order: int
    start_ns: int
    end_ns: int
    is_whole: bool = True
    is_guess: bool = False  # it lies behind a gap, and its place is not confirmed by the framing
    is_behind_gap: bool = False  # somewhere before it bytes of its side are missing
    had_read: int = -1  # TCP sequence number up to which its sender had read the other side; -1: unknown


class Exchange(Struct):
    """A request with its response, half of that, or an event."""

    request: Timed | None = None
    response: Timed | None = None
    event: Timed | None = None
    is_lost: bool = False  # the response: it lay in a gap

    @property
    def first(self) -> Timed:
        timed = self.request or self.response or self.event
        assert timed is not None
        return timed


def pair(messages: Iterable[Timed], matcher: Literal["fifo", "key", "none"]) -> list[Exchange]:
    """Return the exchanges of one stream.

    "fifo": the n-th response answers the n-th request; "key": the oldest unanswered request with the same key. A
    response that came before any waiting request answers one from before the capture: it stays alone. Interim
    responses (`final` is False) end nothing. Behind a gap in the responses to who asks one thing after the other, a
    response answers the latest request: those before it were answered by what was lost.
    """
    ordered = sorted(messages, key=lambda timed: (timed.order, timed.message.start))
    exchanges: list[Exchange] = []
    waiting: defaultdict[str, deque[Exchange]] = defaultdict(deque)
    asks_in_turn: bool | None = None  # None: no response before a gap has shown it
    for timed in ordered:
        message = timed.message
        key = message.key if matcher == "key" else ""
        if message.kind == EVENT or matcher == "none":
            exchanges.append(_alone(timed))
        elif message.kind == REQUEST:
            exchanges.append(Exchange(request=timed))
            if not message.one_way:
                waiting[key].append(exchanges[-1])
        elif waiting[key]:
            if not timed.is_behind_gap:
                asks_in_turn = asks_in_turn is not False and len(waiting[key]) == 1
            elif asks_in_turn and matcher == "fifo":
                _pass_over_lost(waiting[key])
            if message.final:
                waiting[key].popleft().response = timed
        elif message.final:
            exchanges.append(Exchange(response=timed))
    return exchanges


def _pass_over_lost(waiting: deque[Exchange]) -> None:
    """Take away the requests whose responses were lost: the asking side had read them before it asked the latest.

    Its acknowledgements (RFC 9293 §3.4) say so: requests that were sent without reading anything between them wait
    together.
    """
    latest = _had_read(waiting[-1])
    while latest >= 0 and _had_read(waiting[0]) not in (latest, -1):
        waiting.popleft().is_lost = True


def _had_read(exchange: Exchange) -> int:
    return exchange.request.had_read if exchange.request else -1


def _alone(timed: Timed) -> Exchange:
    if timed.message.kind == REQUEST:
        return Exchange(request=timed)
    if timed.message.kind == RESPONSE:
        return Exchange(response=timed)
    return Exchange(event=timed)
