"""The hub's settings, and its health."""

from __future__ import annotations

import json

from tests.hub._serving import Hub


def test_rules_are_tried_before_they_are_set(own_hub: Hub) -> None:
    rule = {"kind": "header", "match": "user-agent"}
    trial = {"rules": [rule], "kfl": "http"}
    tried = json.loads(own_hub.ask("POST", "/api/v1/settings/redaction/try", trial).body)
    assert 0 < tried["hidden_in"] <= tried["looked_at"]
    for wrong in ({"kind": "pattern", "match": "("}, {"kind": "pattern", "match": ".*"}, {"kind": "x", "match": "y"}):
        assert own_hub.ask("PUT", "/api/v1/settings", {"redaction": [wrong]}).status in (400, 422)
    assert own_hub.ask("PUT", "/api/v1/settings", {"redaction": [rule]}).status == 200
    assert own_hub.json("/api/v1/settings")["rules"] == [{**rule, "value": "[redacted]"}]
    assert own_hub.ask("PUT", "/api/v1/settings", {"redaction": None}).status == 200
    assert len(own_hub.json("/api/v1/settings")["rules"]) > 5
