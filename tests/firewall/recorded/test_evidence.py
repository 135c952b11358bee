"""What was seen: by direction, peer and what was asked."""

from __future__ import annotations

from ipaddress import ip_address

from kubeshark.firewall import Direction, compile_policies, parse_policies
from kubeshark.firewall.recorded._evidence import Ask, collect
from tests.firewall._policies import EVERYBODY, inventory, policy
from tests.firewall._recorded import flow, recorded

WATCH = f"  ingress: [{{action: Pass, from: {EVERYBODY}}}]\n  egress: [{{action: Pass, to: {EVERYBODY}}}]"
HOUR = 3600 * 10**9


def attachments() -> tuple[object, ...]:
    watching = policy(WATCH, subject="{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}")
    return compile_policies(parse_policies(watching.encode(), "p"), inventory()).attachments


def test_directions_peers_and_asks() -> None:
    batch = recorded(
        [
            flow("10.9.0.1", "10.20.0.1", 5432, bits=4),
            flow("10.9.0.1", "10.20.0.1", 5432, bits=4, last_ns=5 * 10**9),
            flow("10.20.0.1", "fd00::9", 53, 17),
            flow("10.20.0.1", "10.20.0.2", 9000),
            flow("192.0.2.1", "10.20.0.1", 8080),  # a probe of the node: exempt
            flow("10.20.0.1", "10.9.0.9", 67, 17, port_a=68),
        ]
    )
    evidence = collect([batch], attachments())  # type: ignore[arg-type]
    seen = {
        (direction, str(peer), ask.protocol, ask.port): times.flows
        for (direction, peer, ask), times in evidence.seen.items()
    }
    assert seen[Direction.INGRESS, "10.9.0.1", 6, 5432] == 2
    assert seen[Direction.INGRESS, "10.20.0.1", 6, 9000] == 1 and seen[Direction.EGRESS, "10.20.0.2", 6, 9000] == 1
    assert not any(port == 8080 for *_, port in seen)
    times = evidence.seen[Direction.INGRESS, ip_address("10.9.0.1"), Ask(6, 5432, -1, -1)]
    assert (times.packets, times.first_ns, times.last_ns) == (10, 10**9, 5 * 10**9)
    assert evidence.midway == 1 and evidence.unseen == []


def test_hours_between_first_and_last_are_covered() -> None:
    rows = [
        flow("10.9.0.1", "10.20.0.1", 1, first_ns=2 * HOUR, last_ns=4 * HOUR),
        flow("10.9.0.1", "10.20.0.1", 1, first_ns=30 * HOUR, last_ns=30 * HOUR),
    ]
    assert collect([recorded(rows)], attachments()).hours == {2, 3, 4, 6}  # type: ignore[arg-type]
    far = [flow("10.9.0.1", "10.20.0.1", 1, first_ns=0, last_ns=2**63)]
    assert 0 in collect([recorded(far)], attachments()).hours  # type: ignore[arg-type]
