"""Looking after the store by the hub: snapshots, retention, single captures."""

from __future__ import annotations

import json

from tests.hub._serving import Hub


def test_snapshots_come_and_go(own_hub: Hub) -> None:
    wanted = {"name": "incident", "since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    assert own_hub.ask("POST", "/api/v1/snapshots", wanted).status == 201
    assert [each["name"] for each in own_hub.json("/api/v1/snapshots")] == ["incident"]
    pruned = json.loads(own_hub.ask("POST", "/api/v1/store/prune", {"max_bytes": 0}).body)
    assert pruned["dry_run"] and pruned["segments"] == []
    assert own_hub.ask("DELETE", "/api/v1/snapshots/incident").status == 200
    assert own_hub.ask("DELETE", "/api/v1/snapshots/incident").status == 404
    would = json.loads(own_hub.ask("POST", "/api/v1/store/prune", {"max_bytes": 0}).body)
    assert would["segments"] == [each["name"] for each in own_hub.json("/api/v1/segments")]
    assert own_hub.ask("POST", "/api/v1/store/prune", {}).status == 400
    assert json.loads(own_hub.ask("POST", "/api/v1/store/verify").body)["sound"]


def test_one_capture_is_deleted(own_hub: Hub) -> None:
    capture = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000") + (
        b"\0" * 8 + b"\x2a\0\0\0" * 2 + bytes(42)
    )
    assert own_hub.ask("POST", "/api/v1/imports?name=doomed.pcap", capture).status == 200
    before = own_hub.json("/api/v1/captures")
    (doomed,) = (each for each in before if each["name"] == "doomed.pcap")
    wanted = {"capture": {"name": "doomed.pcap", "sha256": doomed["sha256"]}}
    would = json.loads(own_hub.ask("POST", "/api/v1/store/prune", wanted).body)
    assert (would["dry_run"], would["packets"]) == (True, 1)
    assert own_hub.json("/api/v1/captures") == before
    window = {"name": "keep", "since": "1970-01-01T00:00:00Z", "until": "1970-01-02T00:00:00Z"}
    assert own_hub.ask("POST", "/api/v1/snapshots", window).status == 201
    kept = json.loads(own_hub.ask("POST", "/api/v1/store/prune", wanted | {"dry_run": False}).body)
    assert (kept["segments"], list(kept["kept_by"])) == ([], ["keep"])
    own_hub.ask("DELETE", "/api/v1/snapshots/keep")
    done = json.loads(own_hub.ask("POST", "/api/v1/store/prune", wanted | {"dry_run": False}).body)
    assert done["packets"] == 1
    assert own_hub.json("/api/v1/captures") == [each for each in before if each != doomed]
    assert own_hub.ask("POST", "/api/v1/store/prune", wanted).status == 404
    assert own_hub.ask("POST", "/api/v1/store/prune", wanted | {"max_bytes": 0}).status == 400
    audit = (own_hub.home / ".kubeshark/hub/audit.jsonl").read_text()
    assert '"action": "delete capture"' in audit
    assert json.loads(own_hub.ask("POST", "/api/v1/store/verify").body)["sound"]
