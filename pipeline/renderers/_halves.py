"""Representations of requests, responses and events, each by what shows one: the `render` hook of most of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._sections import BUILTIN, row, table, variable_rows

__all__ = ["Half", "attributes", "halves", "nothing", "titled"]

Half = Callable[[EntryView, Mapping[str, Any]], tuple[Section, ...]]
"""Shows one half of an entry, of which the document is given."""


def nothing(_entry: EntryView, _half: Mapping[str, Any]) -> tuple[Section, ...]:
    return ()


def titled(title: str, names: Mapping[str, str], more: Callable[[Mapping[str, Any]], tuple[Section, ...]]) -> Half:
    """Return what shows KFL variables (name → title) in a table, and what `more` makes of the document."""
    return lambda entry, half: (*table(title, variable_rows(entry, names)), *more(half))


def attributes(message: Mapping[str, Any]) -> tuple[Section, ...]:
    """Show the attributes of a message, each with name and value."""
    return table("Attributes", (row(part["name"], part["value"]) for part in message.get("attributes", ())))


def halves(protocol: str, request: Half, response: Half, event: Half = nothing) -> Any:
    """Return the `render` hook of a module with one protocol, by flag or name."""

    @hookimpl
    def render(entry: EntryView) -> Representation | None:
        if protocol not in (entry.protocol.flag, entry.protocol.name):
            return None
        document = entry.document()
        asked, answered, told = document["request"], document["response"], (document["event"] or {}).get("data")
        return Representation(
            BUILTIN,
            request=request(entry, asked) if asked else (),
            response=response(entry, answered) if answered else (),
            event=event(entry, told) if told else (),
        )

    return render
