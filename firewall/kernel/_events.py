"""Events of the data plane: the kernel's ring, read through shared memory, and what a record says.

Events and `Counters.lost` together are all verdicts that were to be reported; a reader that is slow loses events, the
firewall never waits.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from kubeshark.core_capture.ebpf import RingBuffer
from kubeshark.firewall.kernel._plane import RING_BYTES
from kubeshark.firewall.rules._rules import Action, Direction, Reason, RuleSet

__all__ = ["EVENT", "Event", "Ring", "parse_event"]

EVENT = struct.Struct("<QIIIhhhBBBBBB16s16sHHBBBx")
"""`struct event` of firewall.c; ports are in network order."""


@dataclass(frozen=True, slots=True)
class Event:
    time_ns: int  # of the wall clock
    interface: int  # 0: a refused connect()
    generation: int
    verdict: str  # accept, deny, reject, would_deny, would_reject
    reason: Reason
    rule: int | None  # that decided, or would have
    audit: int | None
    direction: Direction
    version: int
    protocol: int
    src: str
    dst: str
    src_port: int
    dst_port: int
    icmp_type: int
    icmp_code: int
    length: int  # bytes of the frame

    def document(self, subject: str, rules: RuleSet | None) -> dict[str, object]:
        """Return it as JSON says it; names come from the rules of its generation, if they are known."""
        chosen = self.rule if self.rule is not None else self.audit
        rule = rules.rules[chosen] if rules and chosen is not None and chosen < len(rules.rules) else None
        return {
            "time": self.time_ns / 1e9,
            "node": socket.gethostname(),
            "subject": subject,
            "policy": rule.policy if rule else None,
            "rule": rule.name if rule else None,
            "action": rule.action.name.lower() if rule else None,
            "verdict": self.verdict,
            "direction": self.direction.name.lower(),
            "src": self.src,
            "dst": self.dst,
            "srcPort": self.src_port,
            "dstPort": self.dst_port,
            "protocol": self.protocol,
            "length": self.length,
            "generation": self.generation,
        }


def parse_event(record: bytes, clock_ns: int) -> Event:
    """`clock_ns` is what the wall clock is ahead of the monotonic one."""
    fields = EVENT.unpack_from(record)
    at, interface, length, generation, rule, audit, would_rule = fields[:7]
    action, reason, would, direction, version, protocol = fields[7:13]
    src, dst, src_port, dst_port, _flags, icmp_type, icmp_code = fields[13:]
    verdict = Action(action).name.lower()
    if action == Action.ACCEPT and would_rule >= 0:
        verdict, rule = f"would_{Action(would).name.lower()}", would_rule
    family, size = (socket.AF_INET6, 16) if version == 6 else (socket.AF_INET, 4)
    return Event(
        at + clock_ns, interface, generation, verdict, Reason(reason), rule if rule >= 0 else None,
        audit if audit >= 0 else None, Direction(direction), version, protocol,
        socket.inet_ntop(family, src[:size]), socket.inet_ntop(family, dst[:size]),
        socket.ntohs(src_port), socket.ntohs(dst_port), icmp_type, icmp_code, length,
    )  # fmt: skip


class Ring:
    """The one reader of a ring of events; `read` takes what is there."""

    def __init__(self, fd: int) -> None:
        self._records = RingBuffer(fd, RING_BYTES)

    def read(self) -> Iterator[Event]:
        clock_ns = time.time_ns() - time.monotonic_ns()
        for record in self._records.read():
            if len(record) >= EVENT.size:
                yield parse_event(record, clock_ns)

    def close(self) -> None:
        self._records.close()
