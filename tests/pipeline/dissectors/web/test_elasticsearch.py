"""Elasticsearch calls by their paths."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.dissectors.web._elasticsearch import call_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/_search", ("search", "")),
        ("/logs-2026,logs-2025/_search", ("search", "logs-2026,logs-2025")),
        ("/logs-%2A/_doc/17", ("doc", "logs-*")),
        ("/_bulk", ("bulk", "")),
        ("/logs/_bulk", ("bulk", "logs")),
        ("/_cluster/health", ("cluster.health", "")),
        ("/_cat/indices/logs", ("cat.indices", "")),
        ("/_plugins/_sql", ("plugins.sql", "")),
        ("/logs/_cache/clear", ("cache.clear", "logs")),
        ("/logs", ("", "")),
        ("/db/_all_docs", ("", "")),
        ("/a/b/_search", ("", "")),
        ("/logs/_cluster", ("", "")),
        ("/_next/static/x.js", ("", "")),
        ("", ("", "")),
    ],
)
def test_calls(path: str, expected: tuple[str, str]) -> None:
    assert call_of(path) == expected
