"""Rows of Kafka exchanges: the API, what it is about, the first error code."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals, member
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "kafka":
        return None
    name, client = str(entry.get("kafka_api_key_name")), str(entry.get("kafka_client_id"))
    topics = entry.get("kafka_topics")
    summary, query = client, equals("kafka_client_id", client)
    if isinstance(topics, list) and topics:
        summary, query = ",".join(topics), member(topics[0], "kafka_topics")
    status = int(str(entry.get("kafka_error_code")))
    status_query = equals("kafka_error_code", status) if entry.get("kafka_response") else ""
    return cells(name, equals("kafka_api_key_name", name), summary, query, status, status_query)
