"""Rows of Kafka exchanges: the API, what it is about, the first error code."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.renderers._kfl_text import equals, member
from kubeshark.pipeline.renderers._summaries import Code, Told, summary

__all__ = ["summarize"]


def _topics(topics: Any, client: Any) -> tuple[str, str]:
    if isinstance(topics, list) and topics:
        return ",".join(topics), member(topics[0], "kafka_topics")
    return str(client), equals("kafka_client_id", str(client))


summarize = summary(
    "kafka",
    "kafka_api_key_name",
    Told("kafka_topics", "kafka_client_id", by=_topics),
    Code("kafka_error_code", answered="kafka_response"),
)
