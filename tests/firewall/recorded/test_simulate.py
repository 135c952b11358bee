"""Simulations: counts by rule, and the same verdicts as the plain model's."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from kubeshark.firewall import Action, Direction, FlowTable, Packet, decide
from kubeshark.firewall.policies._compile import Compiled, compile_policies
from kubeshark.firewall.policies._inventory import Inventory, parse_inventory
from kubeshark.firewall.policies._policy import parse_policies
from kubeshark.firewall.recorded._items import make_items
from kubeshark.firewall.recorded._simulate import Coverage, simulate
from tests.firewall._policies import EVERYBODY, inventory, policy, shop
from tests.firewall._recorded import Connections, flow, of_file, recorded

DENY_IN = f"  ingress: [{{name: rest, action: Deny, from: {EVERYBODY}}}]"
DENY_ALL = f"{DENY_IN}\n  egress: [{{name: rest, action: Reject, to: {EVERYBODY}}}]"


def compiled(*documents: str, known: Inventory | None = None) -> Compiled:
    return compile_policies(parse_policies("---\n".join(documents).encode(), "p"), known or inventory(), mode="Enforce")


def test_the_reference_policy_by_rule() -> None:
    batch = recorded(
        [
            flow("10.30.0.7", "10.20.0.1", 5432),
            flow("10.9.0.14", "10.20.0.1", 5432),
            flow("10.9.0.14", "10.20.0.2", 22),
            flow("10.20.0.1", "10.96.0.10", 53, 17),
            flow("10.20.0.1", "198.51.100.7", 443),
            flow("10.20.0.1", "198.51.100.9", 8080),
            flow("10.20.0.1", "198.51.100.9", 443),
            flow("172.16.0.1", "172.16.0.2", 80),
        ]
    )
    found = simulate(compile_policies(shop(), inventory(), mode="Enforce"), [batch], inventory=inventory())
    assert {(line.title, line.verdict): line.flows for line in found.lines} == {
        ("ingress/from-stock", "accept"): 1,
        ("ingress/watch-admins", "audit"): 2,
        ("ingress/rest", "reject"): 2,
        ("egress/dns", "accept"): 1,
        ("egress/updates", "accept"): 1,
        ("egress/high", "deny"): 1,
        ("egress: no rule", "accept"): 1,
    }
    assert (found.flows, found.judged, found.outcomes) == (8, 7, {"accept": 4, "deny": 1, "reject": 2})
    [rest] = [line for line in found.lines if line.name == "rest"]
    assert (rest.packets, rest.bytes, rest.first_ns, rest.last_ns) == (10, 1000, 10**9, 2 * 10**9)
    assert rest.peers == {"10.9.0.14": 2} and rest.samples == ["s-1-conn", "s-2-conn"]
    assert found.peer_name("10.30.0.7") == "stock-7f"
    assert "3 peers matched only by IP" in found.warnings


def test_audited_policies_as_they_are() -> None:
    found = simulate(compile_policies(shop(), inventory()), [recorded([flow("10.9.0.14", "10.20.0.1", 22)])])
    assert {(line.title, line.verdict): line.flows for line in found.lines if line.flows} == {
        ("ingress/watch-admins", "audit"): 1,
        ("ingress/rest", "would_reject"): 1,
        ("ingress: no rule", "accept"): 1,
    }
    assert found.outcomes == {"accept": 1}


def test_both_ends_must_let_a_connection_through() -> None:
    both = policy(DENY_IN, subject="{namespaces: {}}")
    found = simulate(compiled(both), [recorded([flow("10.20.0.1", "10.20.0.2", 80)])])
    assert {(line.title, line.verdict): line.flows for line in found.lines} == {
        ("ingress/rest", "deny"): 1,
        ("egress: no rule", "accept"): 1,
    }
    assert found.outcomes == {"deny": 1}


def test_what_changes_against_other_policies() -> None:
    old = f"  ingress: [{{name: rest, action: Deny, from: {EVERYBODY}}}]"
    accept = (
        f"{{name: web, action: Accept, from: {EVERYBODY}, protocols: [{{tcp: {{destinationPort: {{number: 80}}}}}}]}}"
    )
    new = f"  ingress: [{accept}, {{name: rest, action: Reject, from: {EVERYBODY}}}]"
    subject = "{namespaces: {}}"
    batch = recorded(
        [flow("10.9.0.1", "10.20.0.1", 80), flow("10.9.0.1", "10.20.0.1", 80), flow("10.9.0.1", "10.20.0.1", 81)]
    )
    found = simulate(compiled(policy(new, subject=subject)), [batch], against=compiled(policy(old, subject=subject)))
    assert [(change.flow, change.was, change.becomes, change.flows) for change in found.changes] == [
        ("10.9.0.1 → 10.20.0.1:80 tcp", "deny", "accept", 2),
        ("10.9.0.1 → 10.20.0.1:81 tcp", "deny", "reject", 1),
    ]
    assert found.changes[0].samples == ["s-0-conn", "s-1-conn"]


def test_hosts_and_tunnels() -> None:
    host = parse_inventory(b"host: [192.0.2.5]", "i")
    batch = recorded(
        [
            flow("192.0.2.9", "192.0.2.5", 80),
            flow("192.0.2.9", "192.0.2.5", 81, tunnel=3),
            flow("192.0.2.9", "192.0.2.5", 22),
        ]
    )
    found = simulate(compiled(policy(DENY_ALL), known=host), [batch], inventory=host)
    assert {(line.title, line.verdict): line.flows for line in found.lines if line.flows} == {
        ("ingress/rest", "deny"): 1,
        ("ingress: no rule", "accept (exempt)"): 1,
    }
    assert any("inside tunnels" in warning for warning in found.warnings)
    unknown = simulate(compiled(policy(DENY_ALL), known=Inventory()), [batch])
    assert unknown.outcomes == {"reject": 2}  # one end of both cannot be told from the other
    assert any("judged both ways" in warning for warning in unknown.warnings)


def test_later_fragments_where_they_are_judged() -> None:
    accept = (
        f"{{name: web, action: Accept, from: {EVERYBODY}, protocols: [{{tcp: {{destinationPort: {{number: 80}}}}}}]}}"
    )
    rules = parse_policies(policy(f"{DENY_IN.replace('[', f'[{accept}, ', 1)}").encode(), "p")
    host = parse_inventory(b"host: [192.0.2.5]", "i")
    batch = recorded([flow("192.0.2.9", "192.0.2.5", 80, bits=2), flow("192.0.2.9", "192.0.2.5", 80)])
    loose = simulate(compile_policies(rules, host, mode="Enforce"), [batch])
    strict = simulate(compile_policies(rules, host, mode="Enforce", strict_fragments=True), [batch])
    assert (loose.outcomes, strict.outcomes) == ({"accept": 2}, {"accept": 1, "deny": 1})
    assert strict.packets == loose.packets


def test_what_was_not_recorded_is_said() -> None:
    found = simulate(
        compile_policies(shop(), inventory()),
        [recorded([flow("10.9.0.1", "10.20.0.1", 22)])],
        coverage=Coverage(("n1",), 7),
    )
    assert "subject shop/db-2 had no captured traffic" in found.warnings
    empty = simulate(compile_policies(shop(), inventory()), [])
    assert (empty.flows, empty.first_ns, empty.outcomes) == (0, None, Counter())


@pytest.mark.parametrize("seed", range(20))
def test_random_policies_on_a_capture_agree_with_the_model(seed: int, root: Path) -> None:
    source = random.Random(seed)
    [connections] = of_file(root / "examples" / "captures" / "sample.pcapng")
    rules = compile_policies(parse_policies(random_policy(source).encode(), "p"), HOST, mode="Enforce")
    found = simulate(rules, [connections])
    assert found.outcomes == outcomes_by_the_model(rules, connections)


HOST = parse_inventory(b"host: [10.77.0.10, 10.77.0.101, 'fd77::101']", "i")


def random_policy(source: random.Random) -> str:
    networks = ["10.77.0.0/24", "10.77.0.20/32", "fd77::/64", "0.0.0.0/0", "::/0", "10.77.0.96/27"]
    lines = []
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        lines.append(f"  {direction}:")
        for _ in range(source.randint(1, 8)):
            action = source.choice(["Accept", "Deny", "Reject", "Pass", "Audit"])
            network = source.choice(networks)
            port = source.choice([53, 80, 443, 5432, 6379, 8080])
            protocol = source.choice(
                [
                    f"tcp: {{destinationPort: {{number: {port}}}}}",
                    f"udp: {{destinationPort: {{range: {{start: {port}, end: 60000}}}}}}",
                    "icmp: {type: 8}",
                    "icmpv6: {}",
                    "any: {}",
                ]
            )
            lines.append(
                f"    - {{action: {action}, {peers}: [{{networks: ['{network}']}}], protocols: [{{{protocol}}}]}}"
            )
    return policy("\n".join(lines))


def outcomes_by_the_model(rules: Compiled, connections: Connections) -> Counter[str]:
    """Judge each first packet one by one, where it leaves and where it comes."""
    worst: dict[int, Action] = {}
    [attachment] = rules.attachments
    ours = [network for member in attachment.members for network in member.addresses]
    items = make_items(connections, [])
    for row, place in zip(items.asked, items.place.tolist(), strict=True):
        version = int(row["version"])
        src, dst = (ip_address(row[end].tobytes()[: 4 if version == 4 else 16]) for end in ("src", "dst"))
        for direction, mine in ((Direction.INGRESS, dst), (Direction.EGRESS, src)):
            if any(mine in network for network in ours):
                packet = Packet(
                    direction,
                    version,
                    src,
                    dst,
                    int(row["protocol"]),
                    int(row["src_port"]),
                    int(row["dst_port"]),
                    icmp_type=max(0, int(row["icmp_type"])),
                    icmp_code=max(0, int(row["icmp_code"])),
                )
                action = decide(attachment.rules, packet, None).action
                worst[place] = max(worst.get(place, Action.ACCEPT), action)
    return Counter(action.name.lower() for action in worst.values())


def test_many_connections_are_judged_at_once() -> None:
    one = flow("10.9.0.1", "10.20.0.1", 80)
    rows = np.repeat(one[None], 200_000)
    rows["a"][:, 3] = np.arange(len(rows)) % 250
    batch = recorded([one])
    batch.flows, batch.rows = rows, np.arange(len(rows))
    found = simulate(compile_policies(shop(), inventory(), mode="Enforce"), [batch])
    assert found.outcomes == {"reject": 200_000} and found.packets == 1_000_000


@pytest.mark.parametrize("seed", range(12))
def test_a_connection_fares_as_its_packets_do(seed: int, root: Path) -> None:
    """Every packet of the capture goes through the plain model, with a flow table for each of our addresses."""
    source = random.Random(1000 + seed)
    [connections] = of_file(root / "examples" / "captures" / "sample.pcapng")
    rules = compile_policies(parse_policies(random_policy(source).encode(), "p"), HOST, mode="Enforce")
    [attachment] = rules.attachments
    ours = [network for member in attachment.members for network in member.addresses]
    decoded = connections.segment.decoded
    tables = {str(network): FlowTable() for network in ours}
    refused: set[int] = set()
    seen: set[int] = set()
    dropped: set[int] = set()
    for number in np.argsort(decoded.packets["time_ns"], kind="stable").tolist():
        row = decoded.packets[number]
        place = int(row["flow"])
        if place >= len(decoded.flows) or place in dropped or int(row["transport"]) not in (6, 17):
            continue
        flow_row = decoded.flows[place]
        ends = ("a", "b") if int(row["direction"]) == 0 else ("b", "a")
        version = int(flow_row["ip_version"])
        src, dst = (ip_address(flow_row[end].tobytes()[: 4 if version == 4 else 16]) for end in ends)
        ports = tuple(int(flow_row[f"port_{end}"]) for end in ends)
        for direction, mine in ((Direction.EGRESS, src), (Direction.INGRESS, dst)):
            for network in ours:
                if mine not in network:
                    continue
                seen.add(place)
                packet = Packet(
                    direction,
                    version,
                    src,
                    dst,
                    int(row["transport"]),
                    *ports,
                    tcp_flags=int(row["flags"]),
                    fragment_offset=int(bool(row["bits"] & 2) and not row["payload_length"]),
                    time_ns=int(row["time_ns"]),
                )
                if decide(attachment.rules, packet, tables[str(network)]).action != Action.ACCEPT:
                    refused.add(place)
                    dropped.add(place)  # its sender hears nothing, and would say nothing more
    by_model = Counter("refused" if place in refused else "accept" for place in seen)
    stateful = np.isin(connections.flows["transport"], (6, 17))
    whole = Connections(connections.segment, connections.rows[stateful], connections.flows[stateful])
    found = simulate(rules, [whole])
    assert found.outcomes["accept"] == by_model["accept"]
    assert found.outcomes["deny"] + found.outcomes["reject"] == by_model["refused"]
