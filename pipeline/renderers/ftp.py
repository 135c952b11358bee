"""Rows of FTP: the command, its argument, the reply."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "ftp":
        return None
    command, status = str(entry.get("ftp_command")), int(str(entry.get("ftp_status")))
    variable = "ftp_argument" if entry.get("ftp_argument") else "ftp_reply"
    about = str(entry.get(variable))
    status_query = equals("ftp_status", status) if status else ""
    return cells(command, equals("ftp_command", command), about, equals(variable, about), status, status_query)
