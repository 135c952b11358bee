"""The flow: stored packets in, dissected entries out, with hook points at every stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.pipeline._files import FileDissection as FileDissection
    from kubeshark.pipeline._memory import keep_freed_memory as keep_freed_memory
    from kubeshark.pipeline._pipeline import Pipeline as Pipeline
    from kubeshark.pipeline.entries._entry import Entry as Entry
    from kubeshark.pipeline.entries._entry import EntryError as EntryError
    from kubeshark.pipeline.entries._entry import EntryId as EntryId
    from kubeshark.pipeline.entries._order import Place as Place
    from kubeshark.pipeline.entries._order import cursor_text as cursor_text
    from kubeshark.pipeline.entries._time import parse_time as parse_time
    from kubeshark.pipeline.entries._time import rfc3339 as rfc3339
    from kubeshark.pipeline.exports._export import ExportResult as ExportResult
    from kubeshark.pipeline.follow._follow import Follow as Follow
    from kubeshark.pipeline.intake._capture import CaptureLimits as CaptureLimits
    from kubeshark.pipeline.intake._capture import CaptureProgress as CaptureProgress
    from kubeshark.pipeline.intake._capture import CaptureResult as CaptureResult
    from kubeshark.pipeline.intake._imports import ImportResult as ImportResult
    from kubeshark.pipeline.plugins._manager import Plugins as Plugins
    from kubeshark.pipeline.query._arguments import QueryArguments as QueryArguments
    from kubeshark.pipeline.query._query import QueryProgress as QueryProgress
    from kubeshark.pipeline.query._rows import columns as columns
    from kubeshark.pipeline.query._runs import Run as Run
    from kubeshark.pipeline.query._store_query import StoreQuery as StoreQuery
    from kubeshark.pipeline.query._store_query import cursor_behind as cursor_behind
    from kubeshark.pipeline.renderers import to_hex as to_hex
    from kubeshark.pipeline.renderers import to_text as to_text
    from kubeshark.pipeline.tables._rows_shown import CELLS as CELLS
    from kubeshark.pipeline.tables._rows_shown import LINE as LINE
    from kubeshark.pipeline.tables._rows_shown import SIZE as SIZE

__all__ = [
    "CELLS",
    "LINE",
    "SIZE",
    "CaptureLimits",
    "CaptureProgress",
    "CaptureResult",
    "Entry",
    "EntryError",
    "EntryId",
    "ExportResult",
    "FileDissection",
    "Follow",
    "ImportResult",
    "Pipeline",
    "Place",
    "Plugins",
    "QueryArguments",
    "QueryProgress",
    "Run",
    "StoreQuery",
    "columns",
    "cursor_behind",
    "cursor_text",
    "keep_freed_memory",
    "parse_time",
    "rfc3339",
    "to_hex",
    "to_text",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "intake._capture": "CaptureLimits CaptureProgress CaptureResult",
            "entries._entry": "Entry EntryError EntryId",
            "_files": "FileDissection",
            "_memory": "keep_freed_memory",
            "exports._export": "ExportResult",
            "follow._follow": "Follow",
            "intake._imports": "ImportResult",
            "entries._order": "Place cursor_text",
            "_pipeline": "Pipeline",
            "plugins._manager": "Plugins",
            "query._query": "QueryProgress",
            "query._rows": "columns",
            "query._runs": "Run",
            "query._arguments": "QueryArguments",
            "query._store_query": "StoreQuery cursor_behind",
            "tables._rows_shown": "CELLS LINE SIZE",
            "entries._time": "parse_time rfc3339",
            "renderers": "to_hex to_text",
        },
    )
