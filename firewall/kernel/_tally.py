"""Counts that go on while rules get other addresses: each change fills tables anew, whose counters begin at zero."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from kubeshark.firewall.kernel._plane import Count, Counters
from kubeshark.firewall.rules._rules import Direction, Reason, RuleSet

__all__ = ["Tally"]

_EXTRA = ("refused_connects", "reported", "lost", "answered", "silent")
_Key = tuple[str, str, Direction]


class Tally:
    """What was counted before the counters that run now, by rule."""

    def __init__(self) -> None:
        self._packets: Counter[_Key | Reason] = Counter()
        self._bytes: Counter[_Key | Reason] = Counter()
        self._extra: Counter[str] = Counter()

    def plus(self, rules: RuleSet, counted: Counters) -> Tally:
        """Return it with the counters of rules that are no longer in force."""
        made = Tally()
        for mine, theirs in ((made._packets, self._packets), (made._bytes, self._bytes)):
            mine.update(theirs)
        made._extra.update(self._extra)
        made._take(rules, counted)
        return made

    def _take(self, rules: RuleSet, counted: Counters) -> None:
        for rule, count in zip(rules.rules, counted.rules, strict=True):
            self._add((rule.policy, rule.name, rule.direction), count)
        for reason, count in counted.reasons.items():
            self._add(reason, count)
        for name in _EXTRA:
            self._extra[name] += getattr(counted, name)

    def _add(self, key: _Key | Reason, count: Count) -> None:
        self._packets[key] += count.packets
        self._bytes[key] += count.bytes

    def total(self, rules: RuleSet, counted: Counters) -> Counters:
        """Return the counters that run now with what was counted before."""
        return replace(
            counted,
            rules=tuple(
                self._sum((rule.policy, rule.name, rule.direction), count)
                for rule, count in zip(rules.rules, counted.rules, strict=True)
            ),
            reasons={reason: self._sum(reason, count) for reason, count in counted.reasons.items()},
            **{name: getattr(counted, name) + self._extra[name] for name in _EXTRA},
        )

    def _sum(self, key: _Key | Reason, count: Count) -> Count:
        return Count(count.packets + self._packets[key], count.bytes + self._bytes[key])
