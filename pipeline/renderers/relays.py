"""Rows of SOCKS and the PROXY protocol: what was asked for, for whom, and how it went."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells
from kubeshark.pipeline.renderers._summaries import summaries

__all__ = ["summarize"]

SOCKS_ABOUT = ("socks_host", "socks_username", "socks_method", "socks_version")


def _socks(entry: EntryView) -> dict[str, Any]:
    variable = "socks_command" if entry.get("socks_command") else "socks_type"
    kind = str(entry.get(variable))
    status = int(str(entry.get("socks_status")))
    has_status = bool(entry.get("socks_status_text"))
    about = next(name for name in SOCKS_ABOUT if entry.get(name) or name == SOCKS_ABOUT[-1])
    value = str(entry.get(about))
    shown = f"{value}:{entry.get('socks_port')!s}" if about == "socks_host" else value
    return cells(
        kind,
        equals(variable, kind),
        shown,
        equals(about, value),
        status,
        equals("socks_status", status) if has_status else "",
    )


def _proxy(entry: EntryView) -> dict[str, Any]:
    command, source = str(entry.get("proxy_command")), str(entry.get("proxy_src_ip"))
    ends = [f"{entry.get(f'proxy_{end}_ip')!s}:{entry.get(f'proxy_{end}_port')!s}" for end in ("src", "dst")]
    shown = " → ".join(ends) if source else str(entry.get("proxy_family"))
    return cells(command, equals("proxy_command", command), shown, equals("proxy_src_ip", source) if source else "")


summarize = summaries({"socks": _socks, "proxy": _proxy})
