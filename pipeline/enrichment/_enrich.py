"""The enrich stage: what plugins annotate, redact, tag and drop, before any filter sees an entry.

It fails closed: an entry that a plugin could not look at is shown without its content, unless the plugin says that it
only annotates (`on_failure`). What was done is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from kubeshark.errors import PluginError
from kubeshark.extension_api import Enrichment, EnrichSpec
from kubeshark.pipeline._budget import Stop, go_on
from kubeshark.pipeline.enrichment._redact import RedactionError, redact, withhold
from kubeshark.pipeline.entries._entry import Entry

__all__ = ["Enricher", "EnricherBinding"]

BATCH = 256  # entries: what a frame of the batch ABI holds


class EnricherBinding(Struct, frozen=True):
    """One plugin's enrich hook."""

    plugin: str
    spec: EnrichSpec
    call: Callable[..., Sequence[Enrichment | None]]
    hides_only: bool = False
    """It drops, tags and adds nothing: what is steady (`_redact.is_steady`) is the same before and behind it."""
    is_out: Callable[[], bool] = bool
    """Says whether it is asked nothing any more: nobody then knows the packets of its own protocols as such."""


class Enricher(Struct):
    """The stage. `redacted`, `dropped` and `withheld` count entries; `problems` says who failed on how many."""

    bindings: Sequence[EnricherBinding]  # in the order in which they run
    redacted: int = 0
    dropped: int = 0
    withheld: int = 0
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _reasons: dict[tuple[str, str], str] = field(default_factory=dict)

    def apply(self, entries: Iterable[Entry], go_on: Callable[[], None] = go_on) -> list[Entry]:
        """Return the entries that are left, in their order, changed in place; `go_on` may raise between batches."""
        left = list(entries)
        for binding in self.bindings if left else ():
            is_out = binding.spec.on_failure != "keep" and binding.is_out()
            wanted = frozenset[str]() if is_out else frozenset(binding.spec.protocols)
            mine = [entry for entry in left if not wanted or not wanted.isdisjoint(entry.protocol.flags)]
            gone: set[int] = set()
            for start in range(0, len(mine), BATCH):
                go_on()
                batch = mine[start : start + BATCH]
                for entry, answer in zip(batch, self._ask(binding, batch), strict=True):
                    if answer is not None and not self._take(binding, entry, answer):
                        gone.add(id(entry))
            if gone:
                left = [entry for entry in left if id(entry) not in gone]
        return left

    @property
    def problems(self) -> list[PluginError]:
        """One a plugin and kind of failure."""
        done = {
            "withhold": "are shown without their content",
            "drop": "are not shown",
            "keep": "are shown as they were",
        }
        return [
            PluginError(
                f"{count:,} entries {done[policy]}: {self._reasons[plugin, policy]}", plugin=plugin, hook="enrich"
            )
            for (plugin, policy), count in self._failed.items()
        ]

    def explain(self) -> list[str]:
        """Return a line for --explain; none if nothing was done."""
        if not (self.redacted or self.dropped or self.withheld):
            return []
        return [f"enriched      {self.redacted} redacted, {self.dropped} dropped, {self.withheld} withheld"]

    def _ask(self, binding: EnricherBinding, batch: Sequence[Entry]) -> Sequence[Enrichment | None]:
        try:
            answers = list(binding.call(entries=batch))
            if len(answers) == len(batch):
                return answers
            reason = f"answered for {len(answers)} of {len(batch)} entries"
        except PluginError as error:
            reason = error.message
        except Stop:
            raise
        except Exception as error:  # noqa: BLE001 (whatever a Python plugin raises, nothing may be shown for it)
            reason = f"raised {type(error).__name__}"
        return [Enrichment(failure=reason)] * len(batch)

    def _take(self, binding: EnricherBinding, entry: Entry, answer: Enrichment) -> bool:
        """Do what the plugin says; False if the entry goes."""
        if answer.failure:
            return self._fail(binding, entry, answer.failure)
        if answer.drop:
            self.dropped += 1
            return False
        unknown = answer.variables.keys() - binding.spec.variables.keys()
        if unknown:
            return self._fail(binding, entry, f"sets {min(unknown)}, which it does not declare")
        if answer.redactions:
            try:
                self.redacted += redact(entry, answer.redactions)
            except RedactionError as error:
                return self._fail(binding, entry, f"asks for what cannot be done: {error}")
        _annotate(entry, answer.variables, answer.tags)
        return True

    def _fail(self, binding: EnricherBinding, entry: Entry, reason: str) -> bool:
        policy = binding.spec.on_failure
        self._failed[binding.plugin, policy] += 1
        self._reasons.setdefault((binding.plugin, policy), reason)
        if policy == "withhold":
            self.withheld += 1
            withhold(entry, f"plugin {binding.plugin} {reason}")
        elif policy == "drop":
            self.dropped += 1
        return policy != "drop"


def _annotate(entry: Entry, variables: Any, tags: Sequence[str]) -> None:
    for name, value in variables.items():
        entry.variables[name] = value
    if variables:
        entry.annotations = tuple(dict.fromkeys((*entry.annotations, *variables)))
    if tags:
        entry.tags = tuple(dict.fromkeys((*entry.tags, *tags)))
        entry.variables["tags"] = list(entry.tags)
    entry.forget_documents()
