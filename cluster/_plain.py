"""Settings as plain values: what trees are evaluated with, and the values of the chart."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from kubeshark.settings import Settings

__all__ = ["plain"]


def plain(settings: Settings) -> dict[str, Any]:
    """Return kubeshark.yaml as mappings, lists and scalars, by the names in the file."""
    found: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(settings, enc_hook=str)))
    return found
