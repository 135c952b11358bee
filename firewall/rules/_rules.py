"""What is judged by: compiled rules, without pods or labels. The data plane, the simulator and the model read these.

1. A rule set belongs to one attachment: a subject's interface, or the host. Its rules are in judging order: tier Admin
   before Baseline, in a tier by the policy's priority, then name, then as written; egress and ingress may mix.
2. A rule matches a packet of its direction whose *peer* (the source of ingress, the destination of egress) lies in one
   of `peers`, and that one of `traffic` describes. Directions are the subject's, whatever side of a veth is attached.
3. No rule has `peers` of its own that are empty: what a selector resolved to nothing was left out by the compiler. A
   rule of names has NOBODY until an address of one is known: it keeps its place, its counters and its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = [
    "MAX_RULES",
    "NOBODY",
    "Action",
    "Direction",
    "Exempt",
    "Network",
    "Reason",
    "Rule",
    "RuleSet",
    "Tier",
    "Traffic",
    "Verdict",
]

Network = IPv4Network | IPv6Network

NOBODY: tuple[Network, ...] = (ip_network("0.0.0.0/32"),)
"""Peers of a rule none of whose names has an address: no packet goes there (RFC 1122 §3.2.1.3)."""

MAX_RULES = 256
"""Bits of the vectors that rules are matched by: four words of the data plane."""


class Action(IntEnum):
    ACCEPT = 0
    DENY = 1  # dropped silently
    REJECT = 2  # dropped, and the sender is told
    PASS = 3  # the next tier judges
    AUDIT = 4  # recorded, and judged by the next matching rule


class Direction(IntEnum):
    INGRESS = 0
    EGRESS = 1


class Tier(IntEnum):
    ADMIN = 0
    BASELINE = 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """A protocol with what is asked of it; ports are the destination's, of the connection's first packet."""

    protocol: int | None  # IANA's number; None: any
    first_port: int = 0  # inclusive; the full range also takes protocols without ports
    last_port: int = 65535
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def asks_ports(self) -> bool:
        """Whether a packet without ports (a later fragment, ICMP) cannot match."""
        return (self.first_port, self.last_port) != (0, 65535)


@dataclass(frozen=True, slots=True)
class Rule:
    policy: str
    name: str
    tier: Tier
    direction: Direction
    action: Action
    peers: tuple[Network, ...]
    traffic: tuple[Traffic, ...]  # empty: all
    dry: bool = False  # of a policy in mode Audit: Deny and Reject are recorded (`Verdict.would`), then act as Pass
    names: tuple[str, ...] = ()  # whose addresses are peers, too: who enforces adds them, whoever else knows none


@dataclass(frozen=True, slots=True)
class Exempt:
    """Traffic accepted below every policy: our own ports, the apiserver, probes, SSH of the node."""

    name: str
    direction: Direction
    peers: tuple[Network, ...]  # empty: anybody
    traffic: tuple[Traffic, ...]  # empty: all


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What one attachment judges by; what no rule decides is accepted."""

    rules: tuple[Rule, ...]
    allow_essential: bool = True  # neighbour discovery, packet too big, DHCP: `_model.is_essential`
    exempt: tuple[Exempt, ...] = ()
    strict_fragments: bool = False  # later fragments are judged too, by the rules that ask for no port
    tcp_by_flags: bool = False  # a TCP segment with ACK and without SYN is accepted, whatever was seen before

    def __post_init__(self) -> None:
        if len(self.rules) > MAX_RULES:
            raise ValueError(f"{len(self.rules)} rules on one attachment, at most {MAX_RULES}")
        tiers = [rule.tier for rule in self.rules]
        if tiers != sorted(tiers):
            raise ValueError("rules of tier Baseline come after all of tier Admin")


class Reason(IntEnum):
    """Why a packet fares as it does."""

    RULE = 0
    DEFAULT = 1  # no rule decided
    REPLY = 2  # of an accepted flow, or an ICMP error about one
    ESSENTIAL = 3
    EXEMPT = 4
    FRAGMENT = 5  # a later one: it is worth nothing without the first
    NOT_IP = 6
    UNREADABLE = 7  # headers that contradict themselves or end early: dropped
    FLAGS = 8  # a TCP segment that opens nothing, where `tcp_by_flags`


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action  # taken: ACCEPT, DENY or REJECT
    reason: Reason
    rule: int | None = None  # index of the rule that decided; of a reply: that decided its flow
    audit: int | None = None  # the first Audit rule on the way to it
    would: Action | None = None  # DENY or REJECT: what the first dry rule on the way would have done
    would_rule: int | None = None
