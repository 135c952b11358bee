"""Which flows a query reads: those that the predicate lets through, also by another part of the same connection.

Each segment says by itself which end is the client. Where a connection runs through several, a part without its
beginning may have guessed the other end; so connections that may have another part are chosen both ways round, and
the filter decides by the joined connection. No part of one is read without the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import And, FlowBit, InNetwork, Not, Or, PortBetween, Predicate
from kubeshark.pipeline._segments import Segment

__all__ = ["choose_rows", "either_way"]

STARTED = FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN
RESET = FlowBit.RST_A | FlowBit.RST_B
FINISHED = FlowBit.FIN_A | FlowBit.FIN_B
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
    has_ended = ((bits & RESET) != 0) | ((bits & FINISHED) == FINISHED)
    return np.asarray(((bits & STARTED) != 0) & has_ended, dtype=np.bool_)


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
