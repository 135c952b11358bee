"""Sets of policies as documents: there and back; what a later version wrote is denied, not guessed at."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.firewall import Action, Direction, Rule, RuleSet, Tier
from kubeshark.firewall.sets._set import PolicySet, SetPolicy, content_of, set_from, set_to
from kubeshark.firewall.sets._wire import PodAt, Target

ANY = (ip_network("0.0.0.0/0"),)
RULE = Rule("p", "r", Tier.ADMIN, Direction.INGRESS, Action.ACCEPT, ANY, ())
PODS = Target("pods of p", RuleSet((RULE,)), (), is_pod=True, pods=(PodAt("shop/db", ("10.0.0.1", "fd00::1")),))
GIVEN = PolicySet(
    7,
    3,
    (SetPolicy("p", "# why\n", "Enforce", 60),),
    (PODS, Target("host", RuleSet((RULE,), tcp_by_flags=True), (), True)),
    30,
)


def document() -> dict[str, Any]:
    return json.loads(json.dumps(set_to(GIVEN)))  # type: ignore[no-any-return]


def test_there_and_back() -> None:
    assert set_from(document()) == GIVEN


def test_what_is_not_understood_is_denied_for_its_subject() -> None:
    for spoil in (
        lambda rule: rule.update(action=99),
        lambda rule: rule.update(onlyOnSundays=True),
        lambda rule: rule.update(peers=["a name"]),
    ):
        newer = document()
        spoil(newer["targets"][0]["rules"][0])
        read = set_from(newer)
        assert read.damage.keys() == {"pods of p"}
        pods, host = read.targets
        assert pods.pods == PODS.pods and host == GIVEN.targets[1]
        assert {(rule.direction, rule.action) for rule in pods.rules.rules} == {
            (Direction.INGRESS, Action.DENY), (Direction.EGRESS, Action.DENY),
        }  # fmt: skip
    newer = document()
    newer["targets"][0]["isWeekly"] = True
    assert set_from(newer).damage


def test_what_is_no_set() -> None:
    for spoil in ({"targets": None}, {"policies": 5}, {"issue": "x"}, {"policies": [{"name": "p"}]}, {"targets": [{}]}):
        with pytest.raises(UsageError, match="not a "):
            set_from({**document(), **spoil})


def test_content_is_what_a_set_does() -> None:
    first = document()
    assert content_of({**first, "issue": 8, "confirmWithin": 0, "revision": 9}) == content_of(first)
    other = document()
    other["targets"][0]["pods"][0]["addresses"] = ["10.0.0.2"]
    assert content_of(other) != content_of(first)
