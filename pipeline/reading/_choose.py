"""Which flows a query reads: those that the predicate lets through, also by another part of the same connection.

Each segment says by itself which end is the client. Where a connection runs through several, a part without its
beginning may have guessed the other end; so connections that may have another part are chosen both ways round, and
the filter decides by the joined connection. No part of one is read without the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import And, FlowBit, InNetwork, Not, Or, Overlaps, PortBetween, Predicate
from kubeshark.pipeline.reading._segments import Segment, has_ended

__all__ = ["choose_rows", "either_way", "without_times"]

STARTED = FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN
OTHER = {"src": "dst", "dst": "src"}


def choose_rows(segment: Segment, predicate: Predicate, *, is_alone: bool) -> NDArray[Any]:
    """Return the rows to read of a segment; `is_alone` says that no connection can have a part in another one."""
    chosen = segment.match(predicate)
    if not is_alone and (turned := _turned(predicate)) != predicate:
        chosen = chosen | (segment.match(turned) & ~_is_whole(segment.flows["bits"]))
    return np.flatnonzero(chosen)


def either_way(predicate: Predicate) -> Predicate:
    """Return what segments must be able to match to be opened."""
    turned = _turned(predicate)
    return predicate if turned == predicate else Or((predicate, turned))


def _is_whole(bits: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which flows are TCP connections with both their beginning and their end."""
    return np.asarray(((bits & STARTED) != 0) & has_ended(bits), dtype=np.bool_)


def without_times(predicate: Predicate) -> tuple[Predicate, int | None, int | None]:
    """Return a predicate that asks for no times, and the (since, until) in ns that all its entries lie in.

    Times cut connections, and those are read whole: they are looked at when the parts are joined (`_plan`). They stand
    under no Not: whether a flow has packets in a window never says that no entry begins there.
    """
    terms = predicate.terms if isinstance(predicate, And) else (predicate,)
    times = [term for term in terms if isinstance(term, Overlaps)]
    lows = [term.start_ns for term in times if term.start_ns is not None]
    highs = [term.end_ns for term in times if term.end_ns is not None]
    rest = tuple(_untimed(term) for term in terms if not isinstance(term, Overlaps))
    return rest[0] if len(rest) == 1 else And(rest), max(lows, default=None), min(highs, default=None)


def _untimed(predicate: Predicate) -> Predicate:
    match predicate:
        case And(terms):
            return And(tuple(map(_untimed, terms)))
        case Or(terms):
            return Or(tuple(map(_untimed, terms)))
        case Overlaps():
            return And(())
    return predicate


def _turned(predicate: Predicate) -> Predicate:
    """Return the predicate with client and server exchanged."""
    match predicate:
        case And(terms):
            return And(tuple(map(_turned, terms)))
        case Or(terms):
            return Or(tuple(map(_turned, terms)))
        case Not(term):
            return Not(_turned(term))
        case InNetwork(side, network):
            return InNetwork(OTHER[side], network)  # type: ignore[arg-type]
        case PortBetween(side, low, high):
            return PortBetween(OTHER[side], low, high)  # type: ignore[arg-type]
    return predicate
