"""The plain model, read as scripts: a rule set, packets, and what became of them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from kubeshark.firewall import (
    Action,
    Direction,
    Exempt,
    FlowTable,
    Packet,
    Reason,
    Rule,
    RuleSet,
    Tier,
    Traffic,
    decide,
)
from kubeshark.firewall.rules._model import IDLE_NS, may_be_answered

IN, OUT = Direction.INGRESS, Direction.EGRESS
ANY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
HTTPS = (Traffic(6, 443, 443),)


def rule(action: Action, direction: Direction = IN, *traffic: Traffic, peers: Any = ANY, **more: Any) -> Rule:
    return Rule("p", "r", more.pop("tier", Tier.ADMIN), direction, action, peers, traffic, **more)


def packet(direction: Direction = IN, src: str = "10.0.0.9", dst: str = "10.0.0.1", **more: Any) -> Packet:
    source = ip_address(src)
    values = {"protocol": 6, "src_port": 40000, "dst_port": 443, "tcp_flags": SYN, **more}
    return Packet(direction, source.version, source, ip_address(dst), **values)


def answer(to: Packet, **more: Any) -> Packet:
    """The packet that comes back."""
    values = {"protocol": to.protocol, "src_port": to.dst_port, "dst_port": to.src_port, "tcp_flags": SYN | ACK, **more}
    return Packet(Direction(1 - to.direction), to.version, to.dst, to.src, **values)


def test_the_first_rule_that_matches_wins() -> None:
    rules = RuleSet((rule(Action.ACCEPT, IN, *HTTPS), rule(Action.REJECT)))
    assert decide(rules, packet(), None).rule == 0
    refused = decide(rules, packet(dst_port=80), None)
    assert (refused.action, refused.rule, refused.reason) == (Action.REJECT, 1, Reason.RULE)
    assert decide(rules, packet(OUT), None).reason == Reason.DEFAULT


def test_the_peer_is_the_other_end() -> None:
    ours, theirs = (ip_network("10.0.0.1/32"),), (ip_network("10.0.0.9/32"),)
    rules = RuleSet((rule(Action.DENY, IN, peers=ours), rule(Action.DENY, IN, peers=theirs)))
    assert decide(rules, packet(), None).rule == 1
    rules = RuleSet((rule(Action.DENY, OUT, peers=ours), rule(Action.DENY, OUT, peers=theirs)))
    assert decide(rules, packet(OUT, src="10.0.0.1", dst="10.0.0.9"), None).rule == 1


def test_pass_leaves_the_tier_and_audit_is_recorded_once() -> None:
    rules = RuleSet(
        (
            rule(Action.AUDIT),
            rule(Action.AUDIT),
            rule(Action.PASS),
            rule(Action.DENY),
            rule(Action.REJECT, tier=Tier.BASELINE),
        )
    )
    verdict = decide(rules, packet(), None)
    assert (verdict.action, verdict.rule, verdict.audit) == (Action.REJECT, 4, 0)


@pytest.mark.parametrize("decider", [Action.ACCEPT, Action.DENY, Action.PASS])
def test_audit_behind_what_decides_is_not_recorded(decider: Action) -> None:
    assert decide(RuleSet((rule(decider), rule(Action.AUDIT))), packet(), None).audit is None


def test_a_dry_rule_records_what_it_would_do_and_passes() -> None:
    rules = RuleSet((rule(Action.REJECT, dry=True), rule(Action.DENY), rule(Action.DENY, tier=Tier.BASELINE, dry=True)))
    verdict = decide(rules, packet(), None)
    assert (verdict.action, verdict.would, verdict.would_rule) == (Action.ACCEPT, Action.REJECT, 0)
    assert decide(RuleSet((rule(Action.ACCEPT, dry=True), rule(Action.DENY))), packet(), None).rule == 0


def test_replies_need_no_rule_but_a_new_connection_does() -> None:
    rules = RuleSet((rule(Action.ACCEPT, OUT, *HTTPS), rule(Action.DENY, IN), rule(Action.DENY, OUT)))
    flows = FlowTable()
    out = packet(OUT, src="10.0.0.1", dst="10.0.0.9")
    assert decide(rules, answer(out), flows).rule == 1
    assert decide(rules, out, flows).rule == 0
    reply = decide(rules, answer(out), flows)
    assert (reply.action, reply.reason, reply.rule) == (Action.ACCEPT, Reason.REPLY, 0)
    assert decide(rules, answer(out, tcp_flags=SYN), flows).action == Action.DENY
    assert decide(rules, answer(out, dst_port=40001), flows).action == Action.DENY


def test_flows_of_udp_end_when_they_idle() -> None:
    rules = RuleSet((rule(Action.DENY, IN),))
    flows = FlowTable()
    out = packet(OUT, protocol=17, dst_port=53)
    decide(rules, out, flows)
    assert decide(rules, answer(out, time_ns=IDLE_NS), flows).reason == Reason.REPLY
    assert decide(rules, answer(out, time_ns=3 * IDLE_NS), flows).action == Action.DENY


def test_new_rules_end_live_connections() -> None:
    flows = FlowTable()
    out = packet(OUT)
    decide(RuleSet((rule(Action.DENY, IN),)), out, flows)
    flows.flip()
    stricter = RuleSet((rule(Action.DENY, IN), rule(Action.REJECT, OUT)))
    assert decide(stricter, answer(out), flows).rule == 1  # as the flow's first packet fares
    assert decide(stricter, answer(out), flows).rule == 1  # each time: it never becomes a flow of its own
    flows.flip()
    assert decide(RuleSet(()), answer(out), flows).reason == Reason.REPLY


def test_a_flood_of_syns_keeps_answered_flows() -> None:
    rules = RuleSet((rule(Action.DENY, OUT),))
    flows = FlowTable(capacity=8)
    live = packet()
    decide(rules, live, flows)
    assert decide(rules, answer(live), flows).reason == Reason.REPLY
    for port in range(100):
        decide(rules, packet(src="10.6.6.6", src_port=port), flows)
    assert decide(rules, answer(live), flows).reason == Reason.REPLY
    assert len(flows) <= 16


def test_echo_replies_and_errors_about_a_flow_come_in() -> None:
    rules = RuleSet((rule(Action.DENY, IN),))
    flows = FlowTable()
    ping = packet(OUT, protocol=1, icmp_type=8, icmp_id=7, src_port=0, dst_port=0)
    pong = answer(ping, icmp_type=0, icmp_id=7)
    assert decide(rules, pong, flows).action == Action.DENY
    decide(rules, ping, flows)
    assert decide(rules, pong, flows).reason == Reason.REPLY
    out = packet(OUT)
    too_big = packet(IN, src="10.0.0.200", protocol=1, icmp_type=3, icmp_code=4, quoted=out)
    assert decide(rules, too_big, flows).action == Action.DENY
    decide(rules, out, flows)
    assert decide(rules, too_big, flows).reason == Reason.REPLY


def test_essentials_are_below_every_policy() -> None:
    deny = (rule(Action.DENY),)
    solicitation = packet(src="fe80::1", dst="ff02::1:ff00:1", protocol=58, icmp_type=135)
    assert decide(RuleSet(deny), solicitation, None).reason == Reason.ESSENTIAL
    assert decide(RuleSet(deny, allow_essential=False), solicitation, None).action == Action.DENY
    lease = packet(src="10.0.0.254", dst="10.0.0.1", protocol=17, src_port=67, dst_port=68)
    assert decide(RuleSet(deny), lease, None).reason == Reason.ESSENTIAL
    assert decide(RuleSet(deny), packet(src="fe80::1", dst="fe80::2", protocol=58, icmp_type=128), None).rule == 0


def test_exempt_ports_and_their_answers_are_never_cut() -> None:
    rules = RuleSet(
        (rule(Action.DENY), rule(Action.DENY, OUT)), exempt=(Exempt("hub", IN, (), (Traffic(6, 8898, 8898),)),)
    )
    flows = FlowTable()
    asked = packet(dst_port=8898)
    assert decide(rules, asked, flows).reason == Reason.EXEMPT
    assert decide(rules, answer(asked), flows).reason == Reason.REPLY
    flows.flip()
    assert decide(rules, answer(asked), flows).reason == Reason.REPLY


def test_later_fragments_follow_the_first_unless_strict() -> None:
    accept = (rule(Action.ACCEPT, IN, *HTTPS), rule(Action.DENY))
    later = packet(fragment_offset=185, src_port=0, dst_port=0, tcp_flags=0)
    assert decide(RuleSet(accept), later, None).reason == Reason.FRAGMENT
    assert decide(RuleSet(accept, strict_fragments=True), later, None).rule == 1
    whole = (rule(Action.ACCEPT, IN, Traffic(6)), rule(Action.DENY))
    assert decide(RuleSet(whole, strict_fragments=True), later, None).rule == 0


def test_traffic_describes_icmp_and_protocols_without_ports() -> None:
    rules = RuleSet(
        (rule(Action.DENY, IN, Traffic(1, icmp_type=8), Traffic(47)), rule(Action.REJECT, IN, Traffic(None, 1, 9)))
    )
    assert decide(rules, packet(protocol=1, icmp_type=8), None).rule == 0
    assert decide(rules, packet(protocol=1, icmp_type=0), None).rule is None
    assert decide(rules, packet(protocol=47), None).rule == 0
    assert decide(rules, packet(protocol=50, dst_port=5), None).rule is None
    assert decide(rules, packet(protocol=132, dst_port=5), None).rule == 1


def test_what_is_not_ip_passes_and_what_is_unreadable_does_not() -> None:
    assert decide(RuleSet((rule(Action.DENY),)), Packet(IN, version=0), None).reason == Reason.NOT_IP
    assert decide(RuleSet(()), packet(is_readable=False), None).action == Action.DENY


def test_reject_answers_no_reset_no_error_and_no_crowd() -> None:
    assert may_be_answered(packet())
    assert not may_be_answered(packet(tcp_flags=RST))
    assert not may_be_answered(packet(protocol=1, icmp_type=3))
    assert may_be_answered(packet(protocol=1, icmp_type=8))
    assert not may_be_answered(packet(dst="224.0.0.251", protocol=17))
    assert not may_be_answered(packet(dst="255.255.255.255", protocol=17))


def test_by_flags_tcp_is_judged_where_it_opens() -> None:
    rules = RuleSet((rule(Action.DENY),), tcp_by_flags=True)
    for flags in (ACK, ACK | RST, ACK | FIN):
        assert decide(rules, packet(tcp_flags=flags), None).reason == Reason.FLAGS
    for flags in (SYN, SYN | ACK, RST, FIN, 0):
        assert decide(rules, packet(tcp_flags=flags), None).rule == 0
    assert decide(rules, packet(protocol=17), None).rule == 0
    flows = FlowTable()
    asked = packet(direction=OUT, src="10.0.0.9", dst="10.0.0.1", tcp_flags=SYN)
    assert decide(rules, asked, flows).action == Action.ACCEPT
    assert decide(rules, answer(asked), flows).reason == Reason.REPLY
