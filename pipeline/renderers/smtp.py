"""SMTP: the command, who the mail is from or for, the reply; the message with its header and body."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._sections import BUILTIN, body, mapping, row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["render", "summarize"]

REQUEST = {
    "smtp_command": "Command",
    "smtp_argument": "Argument",
    "smtp_mail_from": "From",
    "smtp_subject": "Subject",
    "smtp_request_size": "Bytes",
}

summarize = summary(
    "smtp", "smtp_command", Said("smtp_rcpt_to", "smtp_mail_from", "smtp_argument", "smtp_reply"), "smtp_status"
)


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
