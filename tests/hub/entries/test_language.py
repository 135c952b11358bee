"""What completion is told."""

from __future__ import annotations

from tests.hub._serving import Hub


def test_completion_knows_the_language(hub: Hub) -> None:
    language = hub.json("/api/v1/kfl")
    assert {"name": "status_code", "type": "int", "section": "http", "heavy": False} in language["variables"]
    assert "inCidr" in {each["name"] for each in language["functions"]}
    assert "http" in {each["flag"] for each in hub.json("/api/v1/protocols")}
