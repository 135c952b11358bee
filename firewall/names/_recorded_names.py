"""Which addresses names had when, by the DNS answers of a recording: rules that name names are judged as of a packet.

What lies behind `*.` has an address as long as an enforcer would keep it, its time to live and the grace. An exact name
keeps it besides until it is answered otherwise: an enforcer asks for it again and again by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.firewall.names._dns import Answer, parse_answer
from kubeshark.firewall.names._names import matches_name, time_to_live
from kubeshark.firewall.rules._rules import NOBODY, Direction, Network, Rule, RuleSet
from kubeshark.firewall.rules._vectors import NONE, Addresses, Matcher

__all__ = ["NamesThen", "RecordedNames"]

NS = 10**9
FOREVER_NS = 1 << 63
EVERYBODY: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

Address = IPv4Address | IPv6Address
Interval = tuple[int, int]  # nanoseconds since 1970, the second exclusive


class RecordedNames:
    """The answers of a recording, as (nanoseconds since 1970, message as it was on the wire); others are left out."""

    def __init__(self, messages: Iterable[tuple[int, bytes]] = ()) -> None:
        self._answers: defaultdict[str, list[tuple[int, Answer]]] = defaultdict(list)
        for time_ns, message in messages:
            for data in (message, message[2:]):  # by TCP its length comes first (RFC 1035 §4.2.2)
                try:
                    answer = parse_answer(data)
                except ValueError:
                    continue
                if answer.code == 0:
                    for name in answer.names:
                        self._answers[name].append((time_ns, answer))
                break
        for answers in self._answers.values():
            answers.sort(key=lambda each: each[0])

    def of(self, pattern: str) -> dict[Address, list[Interval]]:
        """Return when the names of a rule had which addresses."""
        found: defaultdict[Address, list[Interval]] = defaultdict(list)
        is_exact = not pattern.startswith("*.")
        for name, answers in self._answers.items():
            if matches_name(pattern, name):
                for kind in {answer.question.type for _, answer in answers}:
                    self._add(found, [each for each in answers if each[1].question.type == kind], is_exact=is_exact)
        return dict(found)

    @staticmethod
    def _add(found: dict[Address, list[Interval]], answers: Sequence[tuple[int, Answer]], *, is_exact: bool) -> None:
        for at, (time_ns, answer) in enumerate(answers):
            until_ns = time_ns + time_to_live(answer.ttl_s) * NS
            if is_exact:
                until_ns = max(until_ns, answers[at + 1][0] if at + 1 < len(answers) else FOREVER_NS)
            for address in answer.addresses:
                found[address].append((time_ns, until_ns))


class NamesThen:
    """A rule set whose rules of names match by the moment."""

    def __init__(self, rules: RuleSet, names: RecordedNames) -> None:
        self._rules = rules
        self.unknown: dict[str, None] = {}  # rules and names that no recorded answer gives an address
        self.untimely = 0  # packets to an address of a name at another time
        by_address: defaultdict[Address, list[tuple[int, Interval]]] = defaultdict(list)  # with the rule's number
        for number, rule in enumerate(rules.rules):
            for pattern in rule.names:
                held = names.of(pattern)
                if not held and rule.peers == NOBODY:
                    self.unknown[
                        f"{rule.policy} {rule.direction.name.lower()}/{rule.name}: no address of {pattern}"
                    ] = None
                for address, intervals in held.items():
                    by_address[address] += ((number, interval) for interval in intervals)
        self._addresses = Addresses([ip_network(address) for address in by_address])
        self._place = np.full(self._addresses.size, NONE, dtype=np.int32)
        self._times: list[tuple[NDArray[np.uint64], NDArray[np.int32]]] = []  # by address: from when on which class
        self._classes: dict[frozenset[int], int] = {frozenset(): 0}  # sets of rules that match, by number
        self._matchers: dict[int, Matcher] = {}
        for place, (address, held_by) in enumerate(by_address.items()):
            self._place[self._addresses.span(ip_network(address))] = place
            self._times.append(self._classed(held_by))

    def _classed(self, intervals: Sequence[tuple[int, Interval]]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """Return moments, and the class of the time behind each."""
        moments = sorted({0, *(moment for _, interval in intervals for moment in interval)})
        classes = []
        for moment in moments:
            matching = frozenset(number for number, (since, until) in intervals if since <= moment < until)
            classes.append(self._classes.setdefault(matching, len(self._classes)))
        return np.array(moments, dtype=np.uint64), np.array(classes, dtype=np.int32)

    def correct(self, verdicts: NDArray[Any], asked: NDArray[Any], times_ns: NDArray[np.uint64]) -> None:
        """Judge anew, in `verdicts`, packets of egress whose destination had a name of some rule just then."""
        place = self._place[self._addresses.number(asked["dst"], asked["version"])]
        rows = np.flatnonzero(place != NONE)
        if not len(rows):
            return
        of_row = np.zeros(len(rows), dtype=np.int32)
        for each in np.unique(place[rows]).tolist():
            inside = place[rows] == each
            moments, classes = self._times[each]
            of_row[inside] = classes[np.searchsorted(moments, times_ns[rows[inside]], "right") - 1]
        self.untimely += int((of_row == 0).sum())
        for number, matching in enumerate(self._classes):
            if number and len(chosen := rows[of_row == number]):
                verdicts[chosen] = self._matcher(number, matching).judge(Direction.EGRESS, asked[chosen])

    def _matcher(self, number: int, matching: frozenset[int]) -> Matcher:
        """Return what judges packets whose peer is one of exactly these rules' names."""
        if number not in self._matchers:
            rules: tuple[Rule, ...] = tuple(
                replace(rule, peers=EVERYBODY) if at in matching else rule for at, rule in enumerate(self._rules.rules)
            )
            self._matchers[number] = Matcher(replace(self._rules, rules=rules))
        return self._matchers[number]
