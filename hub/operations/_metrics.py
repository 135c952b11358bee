"""Figures for Prometheus, by its own client library (the format has corners: escaping, content negotiation).

Counters are plain numbers until somebody asks for /metrics: the library is imported then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

from kubeshark.hub.access._rights import need
from kubeshark.hub.state._hub import Hub

__all__ = ["router"]

router = APIRouter()


HELP = {
    "queries": "Queries begun",
    "queries_cancelled": "Queries that were cancelled, or whose client went away",
    "queries_failed": "Queries that ended with an error",
    "query_rows": "Entries sent to clients",
    "query_seconds": "Seconds that queries held a turn",
    "query_bytes_read": "Bytes of packets gone through by queries",
    "imports": "Imports begun",
    "imports_failed": "Imports that could not be read, or were cancelled",
    "import_bytes": "Bytes of captures received",
    "import_packets": "Packets stored by imports",
    "exports": "Exports begun",
    "export_bytes": "Bytes of exports sent",
}


class _Collector:
    """Asks the hub when it is scraped."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        hub = self._hub
        for name, text in HELP.items():
            yield CounterMetricFamily(f"kubeshark_{name}", text, value=hub.figures.counts[name])
        gauges = {
            "queries_running": ("Queries that hold a turn", hub.pool.running),
            "queries_waiting": ("Queries that wait for a turn", hub.pool.waiting),
            "uptime_seconds": ("Seconds since the hub began", time.time() - hub.started),
        }
        info = hub.pipeline.store.info()
        gauges |= {
            "store_segments": ("Segments of the store", info.segments),
            "store_packets": ("Packets in the store", info.packets),
            "store_captured_bytes": ("Bytes of packets in the store", info.captured_bytes),
            "store_disk_bytes": ("Bytes the store takes", info.disk_bytes),
            "store_problems": ("Segments that cannot be read", len(info.problems)),
            "store_leftovers": ("Files of writers that died", len(info.leftovers)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"kubeshark_{name}", text, value=value)
        yield from self._plugins(CounterMetricFamily, GaugeMetricFamily)
        yield from self._workers(CounterMetricFamily, GaugeMetricFamily)
        if (kube := hub.kube) is not None:
            watched = GaugeMetricFamily("kubeshark_cluster_watched", "1 if objects are watched", labels=["kind"])
            for kind, is_watched in kube.states().items():
                watched.add_metric([kind], is_watched)
            yield watched
            yield CounterMetricFamily("kubeshark_cluster_changes", "Changes of objects heard of", value=kube.changes)

    def _plugins(self, counter: Any, gauge: Any) -> Iterator[Any]:
        calls = counter("kubeshark_plugin_calls", "Calls of a plugin", labels=["plugin"])
        crashes = counter("kubeshark_plugin_crashes", "Times a plugin's process died", labels=["plugin"])
        poison = counter("kubeshark_plugin_poison", "Payloads that made a plugin die or hang", labels=["plugin"])
        seconds = counter("kubeshark_plugin_seconds", "Seconds a plugin took", labels=["plugin"])
        memory = gauge("kubeshark_plugin_resident_bytes", "Most memory of a plugin's process", labels=["plugin"])
        broken = gauge("kubeshark_plugin_quarantined", "1 if a plugin is not asked any more", labels=["plugin"])
        for plugin in self._hub.pipeline.plugins.foreign:
            status, label = plugin.status, [plugin.name]
            calls.add_metric(label, status.calls)
            crashes.add_metric(label, status.crashes)
            poison.add_metric(label, status.poison)
            seconds.add_metric(label, status.busy_s)
            memory.add_metric(label, status.resident_bytes)
            broken.add_metric(label, status.state.value in ("quarantined", "failed"))
        yield from (calls, crashes, poison, seconds, memory, broken)

    def _workers(self, counter: Any, gauge: Any) -> Iterator[Any]:
        up = gauge("kubeshark_worker_up", "1 if a worker answers", labels=["worker"])
        fetched = counter("kubeshark_worker_fetched_bytes", "Bytes fetched from a worker", labels=["worker"])
        segments = gauge("kubeshark_worker_segments", "Segments a worker holds", labels=["worker"])
        free = gauge("kubeshark_worker_disk_free_bytes", "Bytes free on a worker's disk", labels=["worker"])
        dropped = counter("kubeshark_worker_dropped_packets", "Packets a worker had no room for", labels=["worker"])
        excluded = counter(
            "kubeshark_worker_excluded_packets",
            "Packets that filter, choice or schedule left out in a worker's kernel, about",
            labels=["worker"],
        )
        uploaded = counter("kubeshark_worker_uploaded_bytes", "Bytes a worker uploaded", labels=["worker"])
        waiting = gauge("kubeshark_worker_upload_waiting_segments", "Segments not uploaded yet", labels=["worker"])
        lost = counter("kubeshark_worker_upload_lost_segments", "Deleted before they were uploaded", labels=["worker"])
        for row in self._hub.workers.rows():
            label = [row.node or row.url]
            up.add_metric(label, row.state == "up")
            fetched.add_metric(label, row.fetched_bytes)
            segments.add_metric(label, row.segments or 0)
            free.add_metric(label, row.disk_free_bytes or 0)
            dropped.add_metric(label, sum(each["dropped"] + each["lost"] for each in row.captures))
            excluded.add_metric(label, sum(each["excluded"] for each in row.captures))
            if (archive := row.archive) is not None:
                uploaded.add_metric(label, archive["uploaded_bytes"])
                waiting.add_metric(label, archive["waiting"])
                lost.add_metric(label, archive["lost"])
        yield from (up, fetched, segments, free, dropped, excluded, uploaded, waiting, lost)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    dependencies=[Depends(need("manage"))],
    response_class=PlainTextResponse,
)
def metrics(request: Request) -> Response:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    registry.register(_Collector(request.app.state.hub))
    text = generate_latest(registry)
    if scripts := request.app.state.hub.pipeline.plugins.scripts:  # what Kubeshark scripts set
        text += scripts.metrics.render(raw_names=scripts.config.raw_metric_names).encode()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
