"""Elasticsearch and OpenSearch calls by their URL: every API of theirs is a path segment that begins with `_`.

https://www.elastic.co/docs/api/doc/elasticsearch/ and https://docs.opensearch.org/latest/api-reference/
"""

from __future__ import annotations

from urllib.parse import unquote

__all__ = ["call_of"]

_INDEX_APIS = (
    "_alias _aliases _analyze _async_search _block _bulk _cache _clone _close _count _create _delete_by_query"
    " _disk_usage _doc _eql _explain _field_caps _field_usage_stats _flush _forcemerge _fleet _freeze _knn_search"
    " _mapping _mget _migrate _msearch _mtermvectors _mvt _open _pit _rank_eval _recovery _refresh"
    " _reload_search_analyzers _resolve _rollover _search _search_shards _segments _settings _shard_stores _shrink"
    " _source _split _stats _termvectors _unfreeze _update _update_by_query _upgrade _validate"
)
_CLUSTER_APIS = (
    "_autoscaling _cat _ccr _cluster _component_template _dangling _data_stream _enrich _features _health_report _ilm"
    " _index_template _inference _ingest _license _logstash _ml _nodes _opendistro _plugins _query _query_rules"
    " _reindex _render _remotestore _rollup _scripts _search_application _searchable_snapshots _security _slm _snapshot"
    " _sql _ssl _synonyms _tasks _template _transform _watcher _xpack"
)
_OF_INDEX, _OF_CLUSTER = frozenset(_INDEX_APIS.split()), frozenset(_CLUSTER_APIS.split())
_WITH_DETAIL = frozenset({"_cat", "_cluster", "_nodes", "_security", "_plugins", "_ilm", "_cache", "_validate"})
_MAX_SEGMENTS = 8


def call_of(path: str) -> tuple[str, str]:
    """Return (operation, index) of a path: ("search", "logs-*"), ("cluster.health", ""); ("", "") for no such API."""
    if "/_" not in path:
        return "", ""
    segments = [segment for segment in path.split("/", _MAX_SEGMENTS)[:_MAX_SEGMENTS] if segment]
    for at, segment in enumerate(segments[:2]):
        if segment in _OF_INDEX or (at == 0 and segment in _OF_CLUSTER):
            operation = segment[1:]
            if segment in _WITH_DETAIL and at + 1 < len(segments):
                operation += "." + segments[at + 1].lstrip("_")
            return operation, unquote(segments[0]) if at else ""
    return "", ""
