"""Server-sent events: the text/event-stream of the HTML standard (§9.2), as a list."""

from __future__ import annotations

import re

__all__ = ["MAX_EVENTS", "read_events"]

MAX_EVENTS = 1000
"""Events shown of one response."""
_LINE = re.compile(r"\r\n|\r|\n")


def read_events(stream: str) -> list[dict[str, str]]:
    """Return the events as {id, event, data, retry}; comments are left out, an event without its empty line too.

    §9.2.6: an event without `event` is a "message"; one without `data` is not sent to anybody, so it is not shown.
    """
    events: list[dict[str, str]] = []
    last_id, kind, retry = "", "", ""
    data: list[str] = []
    for line in _LINE.split(stream.removeprefix("\ufeff")):
        if not line:
            if data:
                events.append({"id": last_id, "event": kind or "message", "data": "\n".join(data), "retry": retry})
                if len(events) == MAX_EVENTS:
                    break
            kind, retry, data = "", "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and value.isdecimal():
            retry = value
    return events
