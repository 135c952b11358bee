"""The flow: stored packets in, dissected entries out, with hook points at every stage."""

from kubeshark.pipeline._entry import Entry, EntryError, EntryId
from kubeshark.pipeline._files import FileDissection
from kubeshark.pipeline._memory import keep_freed_memory
from kubeshark.pipeline._pipeline import ExportResult, ImportResult, Pipeline
from kubeshark.pipeline._plugins import Plugins
from kubeshark.pipeline._query import QueryProgress
from kubeshark.pipeline._runs import Run
from kubeshark.pipeline._store_query import QueryArguments, StoreQuery, cursor_behind
from kubeshark.pipeline._table import CELLS, SIZE
from kubeshark.pipeline._time import parse_time, rfc3339
from kubeshark.pipeline.renderers import to_text

__all__ = [
    "CELLS",
    "SIZE",
    "Entry",
    "EntryError",
    "EntryId",
    "ExportResult",
    "FileDissection",
    "ImportResult",
    "Pipeline",
    "Plugins",
    "QueryArguments",
    "QueryProgress",
    "Run",
    "StoreQuery",
    "cursor_behind",
    "keep_freed_memory",
    "parse_time",
    "rfc3339",
    "to_text",
]
