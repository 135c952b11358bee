"""A KFL expression bound to the plugins: which flows to read, which entries stay, and what went wrong.

Plugin filters are asked in batches, only about entries that every cheaper term let through; the expression is then
decided with their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kubeshark.core_capture import Predicate
from kubeshark.errors import PluginError
from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.enrichment._redact import is_brief, is_steady
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.kfl import FilterCall, FilterErrors, KflError, Variable, compile_filter
from kubeshark.pipeline.kfl._pushdown import named
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.tables._table import EntryTable

__all__ = ["EntryFilter"]

FLOW_FLAGS = frozenset(f"{prefix}{kind}" for kind in ("conn", "flow") for prefix in ("", "tcp_", "udp_"))
"""Never true for a message."""


MAX_REASONS = 3
"""Plugins that were left out, told where a name is unknown."""


class EntryFilter:
    """A filter ready to run. Raises UsageError, with line and column, for an expression that cannot be meant."""

    def __init__(self, kfl: str, plugins: Plugins, *, now_ns: int, can_decrypt: bool = False) -> None:
        self.kfl = kfl
        self.now_ns = now_ns
        self._plugins = plugins
        self.variables: Mapping[str, Variable] = plugins.variables
        try:
            self._compiled = compile_filter(
                kfl,
                now_ns=now_ns,
                variables=plugins.variables,
                plugins={name: plugin_filter.spec for name, plugin_filter in plugins.filters.items()},
                macros=plugins.macros,
                flag_flows=plugins.protocols.flag_flows(can_decrypt=can_decrypt),
            )
        except KflError as error:
            raise _with_reason(error, plugins.left_out) from None
        self.predicate: Predicate = self._compiled.pushdown.predicate
        self.ids = named(self._compiled.tree, "id")  # of which an entry must have one; None: any
        self.streams = named(self._compiled.tree, "stream")  # likewise
        self.wants_conn: bool = self._compiled.wants_conn
        self.wants_flow: bool = self._compiled.wants_flow
        self.notices: Sequence[str] = self._compiled.notices
        self.limit = self._compiled.limit  # that the old language wrote into the filter
        self.failures: list[PluginError] = []
        self._flags = plugins.protocols.flags() | FLOW_FLAGS
        self._takes_all = not self._compiled.calls and self._compiled.decide((), frozenset(), ()) is True
        self._wanted: dict[tuple[str, ...], bool] = {}

    @property
    def kfl_text(self) -> str:
        """The filter in KFL: as it was written, or translated."""
        return self._compiled.text

    @property
    def is_steady(self) -> bool:
        """Whether it is about nothing that redaction changes: it may then be asked before anything is hidden."""
        return self.brief == ()

    @property
    def brief(self) -> tuple[str, ...] | None:
        """What it names that redaction changes only where it is a long number; None: it names more that changes."""
        unsteady = [name for name in self._compiled.variables if not is_steady(name)]
        return None if self._compiled.calls or not all(map(is_brief, unsteady)) else tuple(sorted(unsteady))

    def wants(self, protocol: ProtocolSpec) -> bool:
        """Say whether messages of a protocol can match."""
        flags = protocol.flags
        if flags not in self._wanted:
            self._wanted[flags] = self._compiled.may_match({*flags, *protocol.variables}, self._flags)
        return self._wanted[flags]

    def select(self, found: EntryTable) -> EntryTable:
        """Return the entries that match, in the same order."""
        if self._takes_all:
            return found
        if not self._compiled.calls:
            return found.matching(self._decide, self._compiled.matches)
        return found.take(np.array(self.judge(list(found)), dtype=np.bool_))

    def judge(self, entries: Sequence[Entry]) -> list[bool]:
        """Say of each entry whether it matches."""
        return self._compiled.matching([entry.variables for entry in entries], self._asker(entries))

    def _decide(self, protocol: ProtocolSpec) -> bool | None:
        """Say whether every message of a protocol matches, or none; None if that depends on the message."""
        return self._compiled.decide(protocol.flags, self._flags, unset=protocol.variables)

    def _asker(self, batch: Sequence[Entry]) -> Callable[[FilterCall, Sequence[int]], Sequence[bool | None]]:
        def ask(call: FilterCall, places: Sequence[int]) -> Sequence[bool | None]:
            plugin_filter = self._plugins.filters[call.name]
            entries = [batch[place] for place in places]
            try:
                answers: Sequence[bool | None] = plugin_filter.call(
                    filter=plugin_filter.spec, arguments=call.arguments, entries=entries
                )
            except PluginError as error:
                self.failures.append(error)
                return [None] * len(places)
            return answers

        return ask

    @property
    def errors(self) -> FilterErrors:
        """Entries that the filter failed on."""
        return self._compiled.errors

    @property
    def error_note(self) -> str:
        """Say how many entries ended in an evaluation error, and the first one; "" without any."""
        errors = self.errors
        return (
            f"{errors.count} entries did not match because the filter failed on them: {errors.first}"
            if errors.count
            else ""
        )

    def explain(self) -> list[str]:
        """Return what is pushed down and what is left."""
        pushdown: Any = self._compiled.pushdown
        heavy = ", ".join(sorted(self._compiled.heavy))
        named = self._compiled.variables & self._plugins.protocols.flags()
        anywhere = sorted(flag for flag in named if self._plugins.protocols.on_any_port(flag))
        return [
            f"filter        {self._compiled.text or '(everything)'}",
            f"pushed down   {pushdown.text or '(nothing)'}{' (exact)' if pushdown.exact else ''}",
            *([f"fails         on every entry: {pushdown.failure}"] if pushdown.failure else []),
            *_by_name("id", self.ids),
            *_by_name("stream", self.streams),
            f"full entries  {'built for ' + heavy if heavy else 'not needed by the filter'}",
            *([f"on any port   {', '.join(anywhere)}: known by content, so ports narrow nothing"] if anywhere else []),
        ]


def _with_reason(error: KflError, left_out: Sequence[PluginError]) -> KflError:
    """Return the error; where a name is unknown, with why plugins are not there that may have it."""
    if not left_out or ": unknown " not in error.message:
        return error
    hints = [error.hint] if error.hint else []
    hint = "; ".join([*hints, *map(str, left_out[:MAX_REASONS])])
    return KflError(error.message, hint=hint, line=error.line, column=error.column, picture=error.picture)


def _by_name(variable: str, values: Sequence[str] | None) -> list[str]:
    return [] if values is None else [f"by {variable:10} {len(values)}: their connections alone are read"]
