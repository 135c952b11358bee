"""Rows of Thrift calls: the method, its service, 1 for an exception."""

from __future__ import annotations

from kubeshark.pipeline.renderers._summaries import Failed, Said, summary

__all__ = ["summarize"]


summarize = summary(
    "thrift",
    "thrift_method",
    Said("thrift_service", "thrift_type"),  # only connections that several services share name one
    Failed("thrift_success", answered="thrift_response"),
)
