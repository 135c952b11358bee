"""A message's KFL variables as the object that its JSON shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import Value

__all__ = ["detail", "document_of"]


def document_of(fields: Mapping[str, Value], protocol: str) -> dict[str, Any]:
    """Return the variables of a protocol by their names in JSON: `socks_bound_host` is `boundHost`."""
    return {_camel_case(name.removeprefix(f"{protocol}_")): value for name, value in fields.items()}


def detail(document: Mapping[str, Any]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Return what a message's `detail` does: no further variables, and its document."""
    return {}, document


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
