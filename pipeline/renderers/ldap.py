"""Rows of LDAP operations: the operation, the name it is about, the result code."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "ldap":
        return None
    kind, result = str(entry.get("ldap_type")), int(str(entry.get("ldap_result")))
    variable = "ldap_dn" if entry.get("ldap_dn") else "ldap_summary"
    about = str(entry.get(variable))
    status_query = equals("ldap_result", result) if entry.get("ldap_response") else ""
    return cells(kind, equals("ldap_type", kind), about, equals(variable, about), result, status_query)
