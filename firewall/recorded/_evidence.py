"""What was seen of a subject: who asked for what, how often and when. What `learn` proposes rules from.

Essential and exempt traffic is left out: no policy cuts it, so no rule is needed for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import FlowBit
from kubeshark.core_capture._groups import Groups
from kubeshark.errors import KubesharkError
from kubeshark.firewall.names._recorded_names import RecordedNames
from kubeshark.firewall.policies._compile import Attachment
from kubeshark.firewall.recorded._items import Items, Recorded, make_items
from kubeshark.firewall.recorded._simulate import Judge
from kubeshark.firewall.rules._model import SCTP, TCP, UDP
from kubeshark.firewall.rules._rules import Direction, Reason

__all__ = ["Ask", "Evidence", "Seen", "Times", "collect"]

HOUR_NS = 3600 * 10**9
MAX_HOURS = 24 * 366 * 20

_KEY = np.dtype(
    [("peer", "u1", (16,)), ("version", "u1"), ("protocol", "u1"), ("port", "<u2"), ("type", "<i2"), ("code", "<i2")]
)


class Ask(NamedTuple):
    """What is asked of the destination."""

    protocol: int
    port: int  # 0 without ports
    icmp_type: int  # -1 unless ICMP
    icmp_code: int


@dataclass(slots=True)
class Times:
    flows: int = 0
    packets: int = 0
    first_ns: int = 2**64 - 1
    last_ns: int = 0

    def add(self, other: Times) -> None:
        self.flows += other.flows
        self.packets += other.packets
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)


Seen = dict[tuple[Direction, IPv4Address | IPv6Address, Ask], Times]


@dataclass(slots=True)
class Evidence:
    seen: Seen = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)  # subjects without traffic
    flows: int = 0  # recorded, the subject's or not
    midway: int = 0  # TCP connections of the subject of which the beginning was not recorded
    first_ns: int | None = None
    last_ns: int | None = None
    hours: set[int] = field(default_factory=set)  # of the day, UTC, with traffic
    problems: list[KubesharkError] = field(default_factory=list)


def collect(recorded: Iterable[Recorded], attachments: Iterable[Attachment]) -> Evidence:
    """Return what was seen at these attachments; their rules decide nothing (a Pass)."""
    evidence = Evidence()
    judges = [Judge(attachment, RecordedNames()) for attachment in attachments]
    for batch in recorded:
        items = make_items(batch, evidence.problems)
        evidence.flows += len(batch.rows)
        if not len(items):
            continue
        is_ours = np.zeros(len(batch.rows), dtype=np.bool_)
        first, last = int(items.first_ns.min()), int(items.last_ns.max())
        evidence.first_ns = first if evidence.first_ns is None else min(evidence.first_ns, first)
        evidence.last_ns = last if evidence.last_ns is None else max(evidence.last_ns, last)
        evidence.hours |= _hours(items)
        for judge in judges:
            for direction, end, peer in ((Direction.INGRESS, "dst", "src"), (Direction.EGRESS, "src", "dst")):
                places = judge.places(items, end)
                reasons = judge.judge(direction, items, places)["reason"]
                places = places[reasons == Reason.DEFAULT]
                is_ours[items.place[places]] = True
                if len(places):
                    _add(evidence.seen, direction, items, places, peer)
        began = (batch.flows["bits"] & int(FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN)) != 0
        evidence.midway += int((is_ours & ~began & (batch.flows["transport"] == TCP)).sum())
    for judge in judges:
        members = zip(judge.attachment.members, judge.was_seen.tolist(), strict=True)
        evidence.unseen += [member.name for member, was_seen in members if not was_seen]
    return evidence


def _add(seen: Seen, direction: Direction, items: Items, places: NDArray[np.intp], peer: str) -> None:
    asked = items.asked[places]
    keys = np.zeros(len(asked), dtype=_KEY)
    keys["peer"], keys["version"], keys["protocol"] = asked[peer], asked["version"], asked["protocol"]
    keys["port"] = np.where(np.isin(asked["protocol"], (TCP, UDP, SCTP)), asked["dst_port"], 0)
    keys["type"], keys["code"] = asked["icmp_type"], asked["icmp_code"]
    groups = Groups(keys.view(f"V{_KEY.itemsize}"))
    order = np.argsort(groups.number, kind="stable")
    starts = np.cumsum(groups.counts) - groups.counts
    ordered = places[order]
    packets = np.add.reduceat(items.packets[ordered], starts)
    firsts = np.minimum.reduceat(items.first_ns[ordered], starts)
    lasts = np.maximum.reduceat(items.last_ns[ordered], starts)
    for at, key in enumerate(groups.known.view(_KEY)):
        packed = key["peer"].tobytes()
        address = ip_address(packed[:4] if int(key["version"]) == 4 else packed)
        ask = Ask(int(key["protocol"]), int(key["port"]), int(key["type"]), int(key["code"]))
        times = Times(int(groups.counts[at]), int(packets[at]), int(firsts[at]), int(lasts[at]))
        seen.setdefault((direction, address, ask), Times()).add(times)


def _hours(items: Items) -> set[int]:
    """Return the hours of the day, UTC, in which some connection had its first, its last, or packets between them."""
    first, last = (items.first_ns // HOUR_NS).astype(np.int64), (items.last_ns // HOUR_NS).astype(np.int64)
    low, high = int(first.min()), int(last.max())
    if not 0 <= high - low < MAX_HOURS:
        return {hour % 24 for hour in np.concatenate((first, last)).tolist()}
    change = np.zeros(high - low + 2, dtype=np.int64)
    np.add.at(change, first - low, 1)
    np.add.at(change, last - low + 1, -1)
    return {(low + hour) % 24 for hour in np.flatnonzero(np.cumsum(change)[:-1] > 0).tolist()}
