"""Firewall policies over the API: kept, checked, tried and learned, each by who may."""

from __future__ import annotations

from tests.hub._firewall import ask, example, hub
from tests.hub._serving import Hub

__all__ = ["example", "hub"]  # fixtures

SIMULATE = "/api/v1/firewall/simulate"


def test_what_is_wrong_is_answered_with_its_place(hub: Hub, example: dict[str, str]) -> None:
    wrong = {**example, "policy": example["policy"].replace("action: Audit", "action: Drop")}
    for method, name in (("PUT", "policies/shop-web"), ("POST", "validate"), ("POST", "simulate")):
        answer, document = ask(hub, method, name, wrong)
        assert answer.status == 422
        assert (document["line"], document["column"], document["path"]) == (16, 35, "spec.ingress[1].action")
    assert ask(hub, "POST", "simulate", {**example, "inventory": "pods: 5"})[0].status == 422
    assert ask(hub, "POST", "simulate", {**example, "kfl": "http &&"})[0].status == 400


def test_simulate_says_what_the_command_does(hub: Hub, example: dict[str, str]) -> None:
    answer, document = ask(hub, "POST", "simulate", example)
    assert answer.status == 200
    rules = {(rule["direction"], rule["name"]): rule for rule in document["rules"]}
    assert rules["ingress", "pages"]["flows"] == 4 and rules["ingress", "rest"]["verdict"] == "reject"
    [entry] = [hub.json(f"/api/v1/entries/{each}") for each in rules["ingress", "pages"]["sampleEntryIds"][:1]]
    assert entry["data"]["dst"]["ip"] == "10.77.0.10"
    some = ask(hub, "POST", "simulate", {**example, "kfl": "http && status_code == 304"})[1]
    assert 0 < some["flows"] < document["flows"]
    assert ask(hub, "POST", "simulate", {**example, "until": "2020-01-01T00:00:00Z"})[1]["flows"] == 0


def test_diff_against_what_is_kept(hub: Hub, example: dict[str, str]) -> None:
    assert ask(hub, "PUT", "policies/shop-web", example)[0].status == 200
    stricter = example["policy"].replace("number: 80", "number: 81")
    body = {"old": "current", "new": stricter, "inventory": example["inventory"]}
    changed = ask(hub, "POST", "diff", body)[1]["changed"]
    assert {(each["was"], each["becomes"]) for each in changed} == {("accept", "reject")}
    against = ask(hub, "POST", "simulate", {**example, "policy": stricter, "against": "current"})[1]["changed"]
    assert against == changed


def test_learned_policies_accept_everything(hub: Hub, example: dict[str, str]) -> None:
    body = {"subject": "pods:shop/app=db", "inventory": example["inventory"], "name": "db"}
    answer, learned = ask(hub, "POST", "learn", body)
    assert answer.status == 200 and learned["rules"] == 1 and learned["not_seen"]
    simulated = ask(hub, "POST", "simulate", {"policy": learned["text"], "inventory": example["inventory"]})[1]
    assert set(simulated["outcomes"]) == {"accept"}
    kubernetes = ask(hub, "POST", "learn", {**body, "form": "networkpolicy"})[1]
    assert "kind: NetworkPolicy" in kubernetes["text"]
    assert ask(hub, "POST", "learn", {**body, "subject": "nobody"})[0].status == 422
    assert ask(hub, "POST", "learn", {**body, "name": "No Name"})[0].status == 422
