"""Rules of names in a simulation: by what DNS had answered when a connection began."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from kubeshark.firewall import RecordedNames, compile_policies, simulate
from kubeshark.firewall.names._dns import Question, write_question
from kubeshark.firewall.names._names import GRACE_S
from kubeshark.firewall.names._recorded_names import FOREVER_NS
from kubeshark.firewall.policies._inventory import Inventory, parse_inventory
from kubeshark.firewall.policies._policy import Policy, parse_policies
from tests.firewall._recorded import flow, recorded

NS = 10**9
RULES = """\
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: named}
spec:
  tier: Admin
  priority: 1
  subject: {host: true}
  egress:
    - {name: named, action: Accept, to: [{domainNames: ["%s"]}]}
    - {name: rest, action: Deny, to: [{networks: ["0.0.0.0/0", "::/0"]}]}
"""
HOST: Inventory = parse_inventory(b"host: [10.0.0.1/32]", "inventory")


def rules(pattern: str) -> list[Policy]:
    return parse_policies((RULES % pattern).encode(), "named.yaml")


def answer(time_s: int, name: str, *addresses: str, ttl: int = 30) -> tuple[int, bytes]:
    six = ":" in addresses[0]
    asked = write_question(Question(1, name, 28 if six else 1))
    records = b""
    for address in addresses:
        packed = ip_address(address).packed
        records += b"\xc0\x0c" + struct.pack("!HHIH", 28 if six else 1, 1, ttl, len(packed)) + packed
    return time_s * NS, struct.pack("!6H", 1, 0x8180, 1, len(addresses), 0, 0) + asked[12:] + records


def test_when_names_had_addresses() -> None:
    names = RecordedNames(
        [
            answer(2000, "a.test", "192.0.2.2"),
            answer(100, "a.test", "192.0.2.1"),
            answer(150, "a.test", "2001:db8::1"),
            (1, b"no message"),
        ]
    )
    kept = (30 + GRACE_S) * NS
    one, two, six = (ip_address(each) for each in ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
    assert names.of("a.test") == {
        one: [(100 * NS, 2000 * NS)],  # until it was answered otherwise
        two: [(2000 * NS, FOREVER_NS)],
        six: [(150 * NS, FOREVER_NS)],
    }
    assert names.of("*.test")[one] == [(100 * NS, 100 * NS + kept)]
    assert names.of("b.test") == names.of("*.a.test") == {}


def test_by_tcp_the_length_comes_first() -> None:
    time_ns, message = answer(1, "a.test", "192.0.2.1")
    assert RecordedNames([(time_ns, len(message).to_bytes(2, "big") + message)]).of("a.test")


@pytest.mark.parametrize(("pattern", "late"), [("a.shop.test", "accept"), ("*.shop.test", "deny")])
def test_connections_are_judged_as_of_their_time(pattern: str, late: str) -> None:
    names = RecordedNames([answer(1000, "a.shop.test", "192.0.2.1"), answer(1000, "c.other", "192.0.2.3")])
    compiled = compile_policies(rules(pattern), HOST, mode="Enforce", follows_names=True)

    def fares(at_s: int, to: str) -> str:
        begun = flow("10.0.0.1", to, 443, first_ns=at_s * NS, last_ns=at_s * NS + 1)
        found = simulate(compiled, [recorded([begun])], inventory=HOST, names=names)
        [outcome] = found.outcomes
        untimely = any("when no recorded answer said so" in warning for warning in found.warnings)
        assert untimely == (outcome == "deny" and to == "192.0.2.1")
        return outcome

    assert fares(999, "192.0.2.1") == "deny"
    assert fares(1000, "192.0.2.1") == "accept"
    assert fares(1000 + 30 + GRACE_S - 1, "192.0.2.1") == "accept"
    assert fares(1000 + 30 + GRACE_S + 1, "192.0.2.1") == late
    assert fares(1001, "192.0.2.3") == "deny"


def test_names_without_an_answer_are_told() -> None:
    compiled = compile_policies(rules("a.test"), HOST, follows_names=True)
    found = simulate(compiled, [recorded([flow("10.0.0.1", "192.0.2.1", 443)])], inventory=HOST)
    assert "no address of a.test was recorded" in " ".join(found.warnings)
