"""The flow: stored packets in, dissected entries out, with hook points at every stage."""

from kubeshark.pipeline._entry import Entry, EntryError, EntryId
from kubeshark.pipeline._files import FileDissection
from kubeshark.pipeline._pipeline import ExportResult, ImportResult, Pipeline, StoreQuery
from kubeshark.pipeline._plugins import Plugins
from kubeshark.pipeline._time import parse_time, rfc3339
from kubeshark.pipeline.renderers import to_text

__all__ = [
    "Entry",
    "EntryError",
    "EntryId",
    "ExportResult",
    "FileDissection",
    "ImportResult",
    "Pipeline",
    "Plugins",
    "StoreQuery",
    "parse_time",
    "rfc3339",
    "to_text",
]
