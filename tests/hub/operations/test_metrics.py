"""Figures are what Prometheus reads."""

from __future__ import annotations

from tests.hub._serving import Hub, entries


def test_figures_are_prometheus(hub: Hub) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    entries(hub)
    families = {family.name: family for family in text_string_to_metric_families(hub.get("/metrics").body.decode())}
    assert families["kubeshark_queries"].samples[0].value > 0
    assert families["kubeshark_store_packets"].samples[0].value == hub.json("/api/v1/info")["packets"]
