"""The audit log: who did what, when, from where, and whether it was allowed. One JSON object a line, no secrets.

Tokens and cookies never reach it; of a filter only its form is kept, without the texts that were looked for.
"""

from __future__ import annotations

import json
import os
import re
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from kubeshark.hub.access._rights import Principal

__all__ = ["CLIENT", "Audit", "filter_form"]

CLIENT: ContextVar[str] = ContextVar("client", default="")
"""The address of whoever is being answered; the gate sets it."""

_QUOTED = re.compile(r"""["'].*["']?""", re.DOTALL)
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
MAX_TEXT = 500


class Audit:
    """Appends to a file of its user alone; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def note(self, who: Principal | None, action: str, *, outcome: str = "ok", **about: object) -> None:
        """Write a line; `about` are short facts. OSError if it cannot be written: then nothing must be done either."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": who.name if who else "",
            "token": who.source if who else "",
            "client": CLIENT.get(),
            "action": action,
            "outcome": outcome,
            **{name: _short(value) for name, value in about.items() if value not in (None, "")},
        }
        data = json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)


def filter_form(kfl: str) -> str:
    """Return a filter without the texts and numbers in it: they may be what nobody should read here.

    It ends at the first quotation mark: where a text ends, only the language itself knows (escapes, raw texts).
    """
    return _NUMBER.sub("…", _QUOTED.sub("…", kfl))[:MAX_TEXT]


def _short(value: object) -> object:
    return value[:MAX_TEXT] if isinstance(value, str) else value
