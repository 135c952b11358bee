"""Counters go on while addresses change: on a device, with real packets, and as sums."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from kubeshark.firewall.kernel._plane import Count, Counters
from kubeshark.firewall.kernel._tally import Tally
from kubeshark.firewall.rules._rules import Action, Direction, Reason, Rule, RuleSet, Tier
from kubeshark.firewall.sets._wire import Target
from tests.firewall._namespaces import pair
from tests.firewall._privileged import needs_namespaces
from tests.firewall.enforcement.test_enforcer import Firewall

DENY = Rule("p", "deny", Tier.ADMIN, Direction.INGRESS, Action.DENY, (ip_network("10.77.0.2/32"),), ())


def counted(packets: int) -> Counters:
    return Counters((Count(packets, 10 * packets),), {Reason.DEFAULT: Count(packets, packets)}, 1, 2, 3, 4, 5)


def test_sums() -> None:
    rules = RuleSet((DENY,))
    tally = Tally().plus(rules, counted(3)).plus(rules, counted(4))
    assert tally.total(rules, counted(1)) == Counters(
        (Count(8, 80),), {Reason.DEFAULT: Count(8, 8)}, 3, 6, 9, 12, 15
    )  # fmt: skip
    other = RuleSet((replace(DENY, name="other"),))
    assert tally.total(other, counted(1)).rules == (Count(1, 10),)


@needs_namespaces
def test_every_packet_is_counted_once_over_changes_of_addresses() -> None:
    with pair() as namespaces:
        firewall = Firewall(namespaces)
        try:
            denied = 0

            def knock() -> int:
                with pytest.raises(TimeoutError):
                    namespaces.connect(80, timeout_s=0.2).close()
                return 1

            firewall.do("apply", [Target("eth0", RuleSet((DENY,)), ("eth0",))])
            for more in range(3):
                denied += knock()
                wider = replace(DENY, peers=(*DENY.peers, ip_network(f"192.0.2.{more}/32")))
                firewall.do("follow", [Target("eth0", RuleSet((wider,)), ("eth0",))])
            denied += knock()
            [target] = firewall.do("status")["targets"]
            assert target["rules"][0]["packets"] == denied == target["events"] + target["lost"]
            firewall.do("apply", [Target("eth0", RuleSet((DENY,)), ("eth0",))])
            assert firewall.do("status")["targets"][0]["rules"][0]["packets"] == 0  # another policy, other counts
        finally:
            firewall.do("close")
