"""SMTP: the command, who the mail is from or for, the reply; the message with its header and body."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals, member
from kubeshark.pipeline.renderers._sections import BUILTIN, body, cells, mapping, row, table, variable_rows

__all__ = ["render", "summarize"]

REQUEST = {
    "smtp_command": "Command",
    "smtp_argument": "Argument",
    "smtp_mail_from": "From",
    "smtp_subject": "Subject",
    "smtp_request_size": "Bytes",
}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "smtp":
        return None
    command, status = str(entry.get("smtp_command")), int(str(entry.get("smtp_status")))
    recipients = entry.get("smtp_rcpt_to")
    if isinstance(recipients, list) and recipients:
        about, about_query = recipients[0], member(recipients[0], "smtp_rcpt_to")
    else:
        wanted = ("smtp_mail_from", "smtp_argument", "smtp_reply")
        variable = next((name for name in wanted if entry.get(name)), "smtp_argument")
        about = str(entry.get(variable))
        about_query = equals(variable, about)
    status_query = equals("smtp_status", status) if status else ""
    return cells(command, equals("smtp_command", command), about, about_query, status, status_query)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "smtp":
        return None
    document = entry.document()
    request, response = document["request"], document["response"] or (document["event"] or {}).get("data")
    reply: tuple[Section, ...] = ()
    if response:
        lines = [row("Text", line) for line in response.get("lines", ())]
        reply = table("Reply", [*variable_rows(entry, {"smtp_status": "Status"}), *lines])
    sent: tuple[Section, ...] = ()
    if request:
        recipients = [row("To", name) for name in request["rcptTo"]]
        sent = (
            *table("Request", [*variable_rows(entry, REQUEST), *recipients]),
            *mapping("Header", request["headers"]),
            *body("Body", request["body"], "", "text/plain", "request_body"),
        )
    return Representation(
        BUILTIN, request=sent, response=reply if document["response"] else (), event=reply if document["event"] else ()
    )
