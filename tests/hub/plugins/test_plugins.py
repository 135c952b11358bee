"""Plugins that are installed, and those that are not."""

from __future__ import annotations

from tests.hub._serving import Hub


def test_plugins_and_health(hub: Hub) -> None:
    builtin = [each for each in hub.json("/api/v1/plugins") if each["builtin"]]
    assert {"dissect"} <= {hook for each in builtin for hook in each["hooks"]}
    assert hub.json("/api/v1/health")["ok"]
    assert hub.json("/api/v1/jobs") == []
    for method, name in (("GET", "nobody"), ("POST", "nobody/enable"), ("DELETE", "nobody")):
        assert hub.ask(method, f"/api/v1/plugins/{name}").status == 404
