"""A rule set holds what the data plane can."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from kubeshark.firewall import MAX_RULES, Action, Direction, Rule, RuleSet, Tier, Traffic

RULE = Rule("p", "r", Tier.BASELINE, Direction.INGRESS, Action.DENY, (ip_network("0.0.0.0/0"),), ())


def test_no_more_rules_than_bits() -> None:
    RuleSet((RULE,) * MAX_RULES)
    with pytest.raises(ValueError, match="257 rules"):
        RuleSet((RULE,) * (MAX_RULES + 1))


def test_tiers_come_in_order() -> None:
    with pytest.raises(ValueError, match="Baseline come after"):
        RuleSet((RULE, replace(RULE, tier=Tier.ADMIN)))


def test_a_full_range_asks_for_no_port() -> None:
    assert not Traffic(6).asks_ports
    assert Traffic(6, 0, 65534).asks_ports
