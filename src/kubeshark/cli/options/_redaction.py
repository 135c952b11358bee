"""The part `redaction` of kubeshark.yaml as rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark.cli.options._configured import configuration

if TYPE_CHECKING:
    from kubeshark.pipeline.enrichment._rules import RedactionRule

__all__ = ["redaction_rules"]


def redaction_rules() -> tuple[RedactionRule, ...]:
    """Return what is hidden from whoever may not see clear values; raise UsageError for a rule that cannot be meant.

    Where the configuration names no header, key or pattern, what kubeshark hides by itself.
    """
    from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule

    loaded = configuration.loaded()
    if loaded is None:
        return DEFAULT_RULES
    redaction = loaded.settings.redaction
    if not redaction.enabled:
        return ()
    rules = (
        *(RedactionRule("header", name) for name in redaction.headers),
        *(RedactionRule("key", name) for name in redaction.keys),
        *(RedactionRule("pattern", text) for text in redaction.patterns),
    )
    return rules or DEFAULT_RULES
