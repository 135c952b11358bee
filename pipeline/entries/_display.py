"""The display stage: rows and representations, from whichever plugin knows best.

A renderer that fails costs nothing but itself: the next best one shows the entry, and the failure is said in a section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from kubeshark.errors import PluginError
from kubeshark.extension_api import MessageKind, Representation, Section

if TYPE_CHECKING:
    from kubeshark.extension_api import Endpoint, ProtocolSpec
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["Display", "RowColumns", "representation_document"]

PARTS = ("request", "response", "event", "data")
NO_CELLS = {"method": "", "methodQuery": "", "summary": "", "summaryQuery": "", "status": 0, "statusQuery": ""}


Summarizer = Callable[..., Mapping[str, Any] | None]


class RowColumns(Protocol):
    """Says of many entries of one protocol what a summarizer says of each."""

    def columns(self, read: Callable[..., list[Any]], count: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Return (methods, statuses, summaries) of `count` entries.

        `read(name)` returns a KFL variable of them, `read(name, places)` of some.
        """
        ...


class Display(Struct, frozen=True):
    """The `summarize` and `render` hooks of all plugins, latest registered first.

    A summarizer may have an attribute `of`: called with a protocol it returns what summarizes that one, None if nothing
    does; then it is not asked.
    """

    summarizers: Sequence[Summarizer] = ()
    renderers: Sequence[Callable[..., Representation | None]] = ()
    _asked: dict[tuple[str, str], tuple[Summarizer, ...]] = field(default_factory=dict)  # by protocol

    def cells(self, entry: Entry) -> Mapping[str, Any]:
        """Return what the latest of those that know the entry says of it: `NO_CELLS` where none does."""
        for summarize in self._summarizers_of(entry.protocol):
            if cells := summarize(entry=entry):
                return cells
        return NO_CELLS

    def columns_of(self, protocol: ProtocolSpec) -> RowColumns | None:
        """Return what says all rows of a protocol at once; None where each entry has to be asked for."""
        asked = self._summarizers_of(protocol)
        found = _told_by(asked[0], protocol) if asked else None
        return found if hasattr(found, "columns") else None

    def _summarizers_of(self, protocol: ProtocolSpec) -> tuple[Summarizer, ...]:
        key = protocol.name, protocol.macro
        found = self._asked.get(key)
        if found is None:
            found = tuple(each for each in self.summarizers if _told_by(each, protocol) is not None)
            self._asked[key] = found
        return found

    def line(self, entry: Entry, *, is_wrong: bool) -> tuple[str, str, str, Any, str]:
        """Return what a line of text shows beside KFL variables: (protocol, error, method, status, summary).

        `is_wrong`: the KFL variable `error`; where it is False, nothing is dissected for the text of one.
        """
        cells = self.cells(entry)
        said = entry.error.message if is_wrong and entry.error else ""
        return entry.protocol.abbr, said, cells["method"], cells["status"], cells["summary"]

    def row(self, entry: Entry) -> dict[str, Any]:
        """Return the row of a list (entries.md §5)."""
        cells = self.cells(entry)
        return {
            "id": entry.id,
            "stream": entry.facts.stream,
            "worker": ", ".join(entry.facts.nodes),
            "proto": entry.protocol_document(),
            "tls": entry.get("tls"),
            **cells,
            "timestamp": entry.start_ns // 1_000_000,
            "src": _end(entry, entry.src),
            "dst": _end(entry, entry.dst),
            "requestSize": entry.size(MessageKind.REQUEST),
            "responseSize": entry.size(MessageKind.RESPONSE),
            "elapsedTime": entry.elapsed_ns // 1_000_000,
            "passed": entry.passed,
            "failed": entry.failed,
            "error": entry.error_document(),
            "record": "",
            "event": entry.exchange.event is not None,
            "capture": entry.capture_document(),
            "checksums": [],
            "duplicate": "",
            "size": entry.total_size,
        }

    def representation(self, entry: Entry) -> Representation:
        """Return the representation with the highest priority."""
        best, failures = Representation(-1), []
        for render in self.renderers:
            try:
                offered = render(entry=entry)
            except PluginError as error:
                failures.append(Section("code", "renderer failed", body=str(error), plugin=error.plugin))
                continue
            if offered is not None and offered.priority > best.priority:
                best = offered
        if failures:
            return Representation(best.priority, best.request, best.response, (*best.event, *failures), best.data)
        return best


def representation_document(representation: Representation) -> dict[str, list[dict[str, Any]]]:
    """Return the representation as JSON."""
    return {part: [_section(section) for section in getattr(representation, part)] for part in PARTS}


def _section(section: Section) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": section.type,
        "title": section.title,
        "tableData": [{"name": row.name, "value": row.value, "selector": row.selector} for row in section.rows],
        "encoding": section.encoding,
        "mimeType": section.mime_type,
        "body": section.body,
        "selector": section.selector,
        "plugin": section.plugin,
    }
    if section.plugin:
        document["micros"] = section.micros
    if section.type == "timeline":
        document["points"] = [
            {"t": point.t, "label": point.label, "direction": point.direction} for point in section.points
        ]
    elif section.type == "hex":
        document["ranges"] = [
            {"start": found.start, "end": found.end, "selector": found.selector, "name": found.name}
            for found in section.ranges
        ]
    return document


def _told_by(summarize: Summarizer, protocol: ProtocolSpec) -> Any:
    """Return what of a summarizer tells a protocol's rows: itself, where it does not say; None: nothing does."""
    of: Callable[[ProtocolSpec], Any] | None = getattr(summarize, "of", None)
    return summarize if of is None else of(protocol)


def _end(entry: Entry, end: Endpoint) -> dict[str, str]:
    who = entry.who(end)
    return {"ip": end.ip, "port": str(end.port), "name": who.name if who is not None else ""}
