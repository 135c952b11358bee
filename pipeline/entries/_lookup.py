"""Finds a connection by its name: the id of one of its entries, or its stream.

Neither lies in a column of the index, but both lead to a row, and its ends and ports to all parts of the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from kubeshark.core_capture import And, InNetwork, Or, PortBetween, Predicate, Transport
from kubeshark.errors import Damaged

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Store

__all__ = ["of_entries", "of_streams", "same_flow"]


def of_entries(store: Store, ids: Iterable[str]) -> Predicate:
    """Return what selects the connections in which these entries lie; an id that is none, or not here, adds nothing."""
    return Or(tuple(_of_entry(store, text) for text in ids))


def of_streams(store: Store, streams: frozenset[str]) -> Predicate:
    """Return what selects the connections with these stream ids; every index is looked through for them."""
    from kubeshark.pipeline.entries._facts import stream_id

    found = dict[str, Predicate]()
    for info in store.segments():
        with suppress(Damaged), store.open_segment(info.name, keep=False) as segment:
            for row in segment.flows:
                if (stream := stream_id(row)) in streams:
                    found[stream] = same_flow(row)
    return Or(tuple(found.values()))


def same_flow(row: Any, *, any_client_port: bool = False) -> Predicate:
    """Return the predicate of all flows with the 5-tuple of a FLOW row: the connection's parts are among them."""
    from kubeshark.pipeline.reading._streams import endpoints

    client, server = endpoints(row)
    terms: list[Predicate] = [Transport(frozenset({int(row["transport"])}))]
    for side, endpoint in (("src", client), ("dst", server)):
        terms.append(InNetwork(side, ip_network(endpoint.ip)))  # type: ignore[arg-type]
        if side == "dst" or not any_client_port:
            terms.append(PortBetween(side, endpoint.port, endpoint.port))  # type: ignore[arg-type]
    return And(tuple(terms))


def _of_entry(store: Store, text: str) -> Predicate:
    from kubeshark.pipeline.entries._entry import EntryId

    wanted = EntryId.parse(text)
    if wanted is None or wanted.segment not in {info.name for info in store.segments()}:
        return Or(())
    with store.open_segment(wanted.segment) as segment:
        if wanted.flow >= len(segment.flows):
            return Or(())
        return same_flow(segment.flows[wanted.flow], any_client_port=wanted.number == "flow")
