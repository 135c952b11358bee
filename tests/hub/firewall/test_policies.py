"""Firewall policies over the API that are enforced: changed by version, by who may, all of them or none."""

from __future__ import annotations

import json

from tests.hub._firewall import ask, example, hub
from tests.hub._serving import Hub
from tests.hub.test_views import token

__all__ = ["example", "hub"]  # fixtures


def test_policies_are_kept_and_changed_by_version(hub: Hub, example: dict[str, str]) -> None:
    assert ask(hub, "GET", "policies")[1] == []
    answer, document = ask(hub, "PUT", "policies/shop-web?dryRun=true", example)
    assert answer.status == 200 and document["dry_run"]
    assert document["attachments"] == [
        {"kind": "pods", "subjects": ["shop/web-1"], "policies": ["shop-web"], "rules": 3}
    ]
    assert ask(hub, "GET", "policies")[1] == []
    answer, document = ask(hub, "PUT", "policies/shop-web", example, **{"If-Match": '""'})
    assert answer.status == 200 and answer.headers["etag"] == f'"{document["version"]}"'
    answer, kept = ask(hub, "GET", "policies/shop-web")
    assert (kept["text"], kept["mode"], answer.headers["etag"]) == (
        example["policy"],
        "Audit",
        f'"{document["version"]}"',
    )
    assert ask(hub, "PUT", "policies/shop-web", example, **{"If-Match": '""'})[0].status == 409
    assert ask(hub, "DELETE", "policies/shop-web", **{"If-Match": '"other"'})[0].status == 409
    assert ask(hub, "PUT", "policies/other", example)[0].status == 422
    assert ask(hub, "DELETE", "policies/shop-web", **{"If-Match": f'"{kept["version"]}"'})[0].status == 200
    assert ask(hub, "GET", "policies/shop-web")[0].status == 404


def test_who_may_do_what(hub: Hub, example: dict[str, str]) -> None:
    enforced = {**example, "policy": example["policy"].replace("mode: Audit", "mode: Enforce")}
    viewer, operator = token(hub, "fw-viewer", "--role", "viewer"), token(hub, "fw-operator", "--role", "operator")
    scoped = token(hub, "fw-scoped", "--role", "operator", "--namespace", "shop")
    assert ask(hub, "GET", "policies", token=viewer)[0].status == 200
    assert ask(hub, "POST", "simulate", example, token=viewer)[0].status == 403
    assert ask(hub, "PUT", "policies/shop-web", example, token=viewer)[0].status == 403
    assert ask(hub, "GET", "policies", token=scoped)[0].status == 403
    assert ask(hub, "POST", "simulate", example, token=scoped)[0].status == 403
    assert ask(hub, "POST", "simulate", example, token=operator)[0].status == 200
    assert ask(hub, "PUT", "policies/shop-web", example, token=operator)[0].status == 200
    assert ask(hub, "PUT", "policies/shop-web", enforced, token=operator)[0].status == 403
    assert ask(hub, "PUT", "policies/shop-web", enforced)[0].status == 200
    assert ask(hub, "PUT", "policies/shop-web", example, token=operator)[0].status == 403  # it would end enforcement
    assert ask(hub, "DELETE", "policies/shop-web", token=operator)[0].status == 403
    audit = [json.loads(line) for line in (hub.home / ".kubeshark" / "hub" / "audit.jsonl").read_text().splitlines()]
    assert {"put policy", "simulate policies"} <= {each["action"] for each in audit}
    changed = [each for each in audit if each["action"] == "put policy" and each["outcome"] == "ok"]
    assert {"-  mode: Audit # Deny and Reject are only recorded; Enforce does them"} <= set(changed[-1]["diff"])


def test_several_policies_are_one_change(hub: Hub, example: dict[str, str]) -> None:
    for each in ask(hub, "GET", "policies")[1]:
        ask(hub, "DELETE", f"policies/{each['name']}")
    both = example["policy"] + "--- # the other\n" + example["policy"].replace("name: shop-web", "name: other")
    answer, document = ask(hub, "PUT", "policies?enforce=true&confirmWithin=60&ttl=3600", {"policy": both})
    assert answer.status == 200 and 0 < document["confirm_within"] <= 60 and document["nodes"] == []
    kept = ask(hub, "GET", "policies")[1]
    assert [(each["name"], each["mode"], each["ttl_left"] > 3000) for each in kept] == [
        ("other", "Enforce", True), ("shop-web", "Enforce", True),
    ]  # fmt: skip
    assert kept[1]["text"] == example["policy"] and kept[0]["text"].startswith("--- # the other\n")
    assert ask(hub, "PUT", "policies", {"policy": both}, **{"If-Match": '"1"'})[0].status == 409
    wrong, document = ask(hub, "PUT", "policies", {"policy": both.replace("action: Reject", "action: Drop")})
    assert wrong.status == 422 and document["line"]
    assert ask(hub, "POST", "confirm")[1]["confirm_within"] is None
    assert ask(hub, "POST", "confirm")[0].status == 409
    assert ask(hub, "POST", "rollback")[0].status == 200
    assert ask(hub, "GET", "policies")[1] == []
    assert ask(hub, "POST", "rollback")[0].status == 409


def test_selectors_are_resolved_by_the_hubs_inventory(hub: Hub, example: dict[str, str]) -> None:
    ask(hub, "PUT", "policies/shop-web", {"policy": example["policy"]})
    assert ask(hub, "GET", "policies/shop-web")[1]["compiled"] == 0
    operator = token(hub, "fw-inventory", "--role", "operator")
    body = {"inventory": example["inventory"]}
    assert ask(hub, "PUT", "inventory", body, token=operator)[0].status == 403
    assert ask(hub, "PUT", "inventory", {"inventory": "pods: 5"})[0].status == 422
    assert ask(hub, "PUT", "inventory", body)[1]["pods"] > 0
    assert ask(hub, "GET", "policies/shop-web")[1]["compiled"] == 3
    status = ask(hub, "GET", "status")[1]
    assert status["nodes"] == [] and status["problem"] == ""
    ask(hub, "DELETE", "policies/shop-web")
