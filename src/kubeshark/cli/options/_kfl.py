"""The keys of kubeshark.yaml that are about filters: names for KFL, and the filter of everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark.cli.options._configured import configuration
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeshark.pipeline import Pipeline

__all__ = ["global_filter", "macros", "own_macros"]


def macros() -> Mapping[str, str]:
    """Return the names that filters may use for KFL, beside KFL's own."""
    given: Mapping[str, str] | None = configuration.value("tap.customMacros")
    return own_macros(given) if given else {}


def own_macros(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return these macros without that of KFL itself, which Kubeshark's files repeat."""
    from kubeshark.settings import keys

    default = keys()["tap.customMacros"].default
    return {name: kfl for name, kfl in given.items() if default.get(name) != kfl}


def global_filter(pipeline: Pipeline) -> str:
    """Return the KFL that is added to everybody's filter; raise UsageError where it cannot be meant."""
    kfl: str = configuration.value("tap.globalFilter") or ""
    try:
        pipeline.compile(kfl)
    except UsageError as error:
        raise UsageError(f"tap.globalFilter: {error.message}", hint=error.hint) from None
    return kfl
