"""Policies: what is taken, and where an error says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kubeshark._document import DocumentError
from kubeshark.errors import KubesharkError, UsageError
from kubeshark.firewall.policies._policy import LabelSelector, load_policies, parse_policies, policy_schema
from kubeshark.firewall.rules._rules import Action, Direction, Tier, Traffic
from tests.firewall._policies import EVERYBODY, SHOP, policy, shop


def test_the_reference_policy() -> None:
    [found] = shop()
    assert (found.name, found.tier, found.priority, found.mode) == ("shop-db", Tier.ADMIN, 100, "Audit")
    assert (found.ttl_s, found.confirm_within_s) == (7200, 60)
    assert [(rule.direction, rule.name, rule.action) for rule in found.rules] == [
        (Direction.INGRESS, "from-stock", Action.ACCEPT),
        (Direction.INGRESS, "watch-admins", Action.AUDIT),
        (Direction.INGRESS, "rest", Action.REJECT),
        (Direction.EGRESS, "dns", Action.ACCEPT),
        (Direction.EGRESS, "updates", Action.ACCEPT),
        (Direction.EGRESS, "high", Action.DENY),
    ]
    assert found.rules[5].traffic == (Traffic(6, 1024, 65535),)


def test_json_says_the_same() -> None:
    document = json.dumps(yaml.safe_load(SHOP), indent=2)
    assert parse_policies(document.encode(), "shop.yaml") == shop()


def test_the_json_schema_takes_it() -> None:
    schema = policy_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(SHOP))


WRONG = [
    ("teir: Admin", "tier: Admin", "shop.yaml:5:3: spec.teir: unknown field: did you mean 'tier'?"),
    ("mode: audit", "mode: Audit", "7:9: spec.mode: 'audit' is none of Enforce, Audit"),
    ("action: Drop", "action: Accept", "spec.ingress[0].action: 'Drop' is none of"),
    ("10.20.0.1/16", "10.20.0.0/16", "spec.ingress[0].from[1].networks[0]: '10.20.0.1/16' is no network"),
    ("from: []", 'from: [{networks: ["10.9.0.0/24"]}]', "spec.ingress[1].from: is empty"),
    ("name: shop-db, nmae: x", "name: shop-db", "metadata.nmae: unknown field"),
    ("app: 5", "app: db", "podSelector.matchLabels.app: '5' is no text"),
    ("confirmWithin: sixty", "confirmWithin: 60s", "spec.confirmWithin: 'sixty' is no duration"),
    ("number: 0}", "number: 5432}", "destinationPort.number: 0 is not in 1..65535"),
    ("start: 9, end: 1", "start: 1024, end: 65535", "range: starts at 9, behind its end 1"),
    ("kubeshark.io/v2", "kubeshark.io/v1", "1:13: apiVersion: 'kubeshark.io/v2' is none of"),
    ("kind: NetworkPolicy", "kind: FirewallPolicy", "kind: 'NetworkPolicy' is none of FirewallPolicy"),
    ("priority: 1001", "priority: 100", "spec.priority: 1001 is not in 0..1000"),
    ("name: rest, action: Reject", "name: watch-admins, action: Audit", "spec.ingress[2].name: 'rest' is given twice"),
    ("{host: true}", "{namespaces: {matchLabels: {name: kube-system}}}", "spec.egress[0].to[0].host: unknown field"),
    (
        "action: Deny\n      to: [{domainNames: [",
        "action: Accept\n      to: [{domainNames: [",
        "another resolver would evade",
    ),
    ("a.*.test", "*.updates.example.test", "domainNames[0]: 'a.*.test' is not a domain name"),
    (
        "pods: {podSelector: {}}",
        "pods: {namespaceSelector: {matchLabels: {name: shop}}, podSelector: {matchLabels: {app: db}}}",
        "spec.subject.pods: namespaceSelector is missing",
    ),
]


@pytest.mark.parametrize(("wrong", "right", "said"), WRONG, ids=[wrong for wrong, _, _ in WRONG])
def test_what_is_wrong_is_named_with_its_place(wrong: str, right: str, said: str) -> None:
    assert right in SHOP
    with pytest.raises(DocumentError) as refused:
        parse_policies(SHOP.replace(right, wrong, 1).encode(), "shop.yaml")
    assert said in str(refused.value)
    assert refused.value.line and refused.value.column and refused.value.exit_code == 2


def test_limits() -> None:
    rules = "".join(f"    - {{action: Accept, from: {EVERYBODY}}}\n" for _ in range(26))
    with pytest.raises(DocumentError, match=r"spec.ingress: 26 items, at most 25"):
        parse_policies(policy("  ingress:\n" + rules).encode(), "p")
    networks = ", ".join(f'"10.0.{n}.0/24"' for n in range(26))
    with pytest.raises(DocumentError, match=r"networks: 26 items"):
        parse_policies(policy(f"  ingress:\n    - {{action: Deny, from: [{{networks: [{networks}]}}]}}").encode(), "p")
    with pytest.raises(DocumentError, match="neither ingress nor egress"):
        parse_policies(policy("").encode(), "p")
    with pytest.raises(DocumentError, match="101 characters"):
        name = "x" * 101
        parse_policies(policy(f"  ingress:\n    - {{name: {name}, action: Deny, from: {EVERYBODY}}}").encode(), "p")


def test_who_could_lock_itself_out_is_asked_to_confirm() -> None:
    deny = f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]"
    [host] = parse_policies(policy(deny).encode(), "p")
    [pods] = parse_policies(policy(deny, subject="{namespaces: {}}").encode(), "p")
    [some] = parse_policies(policy(deny, subject="{namespaces: {matchLabels: {a: b}}}").encode(), "p")
    assert (host.confirm_within_s, pods.confirm_within_s, some.confirm_within_s) == (60, 60, 0)


def test_expressions_select_as_in_kubernetes() -> None:
    subject = (
        "{namespaces: {matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: b, operator: DoesNotExist},"
        " {key: c, operator: NotIn, values: [z]}, {key: d, operator: Exists}]}}"
    )
    [found] = parse_policies(policy(f"  egress: [{{action: Pass, to: {EVERYBODY}}}]", subject=subject).encode(), "p")
    selector = found.subject.namespaces
    assert isinstance(selector, LabelSelector)
    assert selector.selects({"a": "x", "d": ""})
    assert not selector.selects({"a": "x", "b": "1", "d": ""})
    assert not selector.selects({"a": "x", "c": "z", "d": ""})
    assert not selector.selects({"a": "z", "d": ""}) and not selector.selects({"a": "x"})


def test_folders_and_names_given_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHOP)
    assert [found.name for found in load_policies([tmp_path])] == ["shop-db"]
    (tmp_path / "b.json").write_text(json.dumps(yaml.safe_load(SHOP)))
    with pytest.raises(DocumentError, match=r"b\.json: policy 'shop-db' is given twice, also in .*a\.yaml"):
        load_policies([tmp_path])
    with pytest.raises(UsageError, match="no policy in"):
        (tmp_path / "empty").mkdir()
        load_policies([tmp_path / "empty"])


PIECES = [b"{}", b"[]", b"null", b"- ", b"99999999999", b": ", b"&a ", b"*a", b"!!map "]


@given(st.data())
def test_no_mutation_does_more_than_be_refused(data: st.DataObject) -> None:
    text = bytearray(SHOP.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        stop = min(len(text), at + data.draw(st.integers(0, 12)))
        text[at:stop] = data.draw(st.binary(max_size=6) | st.sampled_from(PIECES))
    try:
        [policy] = parse_policies(bytes(text), "p")
    except KubesharkError as refused:
        assert refused.exit_code == 2 and len(str(refused)) < 500
    else:
        assert policy.rules
