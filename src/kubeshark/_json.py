"""JSON as text that can be written: half of a surrogate pair, which JSON can hold and UTF-8 cannot, stays escaped."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["json_text"]


def json_text(value: Any) -> str:
    """Return a value as a line of JSON, in as few characters as that takes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
