"""Which addresses the names of rules have now: what resolvers answered, and what subjects were answered.

1. An exact name is asked for by this machine itself. What subjects heard from their resolvers counts besides, for exact
   names and for those behind `*.`, and only for the target whose subject heard it.
2. An address stays for `GRACE_S` after its time to live: clients keep what they were told, and connections go on.
   A name that a subject asked for within `FOLLOWED_S` is asked for again by this machine meanwhile.
3. While a resolver fails what it said last stays, however old, and the failure is told.
4. Everything is bounded: of too much, what would end first goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any

from kubeshark.firewall.names._resolver import Found
from kubeshark.firewall.rules._rules import NOBODY, Network
from kubeshark.firewall.sets._wire import Target

__all__ = ["GRACE_S", "NameBook", "matches_name", "time_to_live"]

GRACE_S = 600
MAX_TTL_S = 86_400
MIN_ASK_S, MAX_ASK_S = 5, 300
"""How often an exact name is asked for: after its time to live, within these."""

RETRY_S = 5
FOLLOWED_S = 86_400
MAX_ADDRESSES = 64  # of a name
MAX_HEARD = 1_000  # names of a target
MAX_ASKED = 1_000  # names that are asked for
SHOWN = 5  # addresses in a status
Address = IPv4Address | IPv6Address


def time_to_live(ttl_s: int) -> int:
    """Return for how long an answer opens what it names, grace included."""
    return min(max(ttl_s, 0), MAX_TTL_S) + GRACE_S


def matches_name(pattern: str, name: str) -> bool:
    """Say whether a name is the one of a rule, or lies behind its `*.` by one label or more, as in Kubernetes."""
    return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1 if pattern.startswith("*.") else name == pattern


@dataclass(slots=True)
class _Known:
    until: dict[Address, float] = field(default_factory=dict)  # by address, by the clock
    due: float = 0.0  # when it is to be asked for
    problem: str = ""
    asked_at: float = 0.0  # by a subject

    def take(self, addresses: Iterable[Address], until: float) -> None:
        for address in addresses:
            self.until[address] = max(until, self.until.get(address, 0))
        while len(self.until) > MAX_ADDRESSES:
            del self.until[min(self.until, key=self.until.__getitem__)]

    def end(self, now: float) -> None:
        self.until = {address: until for address, until in self.until.items() if until > now}


class NameBook:
    """Not for threads. `edition` rises whenever a rule of some target has other addresses than before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.edition = 0
        self._clock = clock
        self._patterns: dict[str, tuple[str, ...]] = {}  # by target
        self._resolved: dict[str, _Known] = {}
        self._heard: dict[str, dict[str, _Known]] = {}  # by target, by name
        self._told: dict[str, dict[str, frozenset[Address]]] = {}  # what is in force, by target, by pattern

    def follow(self, targets: Iterable[Target]) -> None:
        """Follow the names of these targets' rules from now on, and no others; one may be there twice."""
        wanted: dict[str, dict[str, None]] = {}
        for target in targets:
            names = (name for rule in target.rules.rules for name in rule.names)
            wanted.setdefault(target.name, {}).update(dict.fromkeys(names))
        self._patterns = {target: tuple(patterns) for target, patterns in wanted.items() if patterns}
        self._heard = {
            target: {
                name: known for name, known in self._heard.get(target, {}).items() if self._is_wanted(target, name)
            }
            for target in self._patterns
        }
        self._settle()

    @property
    def targets(self) -> Sequence[str]:
        """Those whose rules have names."""
        return tuple(self._patterns)

    # ---- what is learned ----

    def due(self) -> list[str]:
        """Return the names to ask resolvers for now."""
        now = self._clock()
        return [name for name in self._asked() if name not in self._resolved or self._resolved[name].due <= now]

    def _asked(self) -> list[str]:
        exact = (name for patterns in self._patterns.values() for name in patterns if not name.startswith("*."))
        since = self._clock() - FOLLOWED_S
        heard = (
            name for names in self._heard.values() for name, known in names.items() if known.asked_at > since
        )  # fmt: skip
        return list(dict.fromkeys((*exact, *heard)))[:MAX_ASKED]

    def resolved(self, found: Mapping[str, Found]) -> None:
        """Take what resolvers said."""
        now = self._clock()
        for name, each in found.items():
            known = self._resolved.setdefault(name, _Known())
            known.take(each.addresses[:MAX_ADDRESSES], now + time_to_live(each.ttl_s))
            known.problem = each.problem
            known.due = now + (RETRY_S if each.problem else min(max(each.ttl_s, MIN_ASK_S), MAX_ASK_S))
        self._settle()

    def heard(self, target: str, names: Iterable[str], addresses: Sequence[Address], ttl_s: int) -> None:
        """Take what a subject of a target was answered: addresses of a name, and of the aliases it leads over."""
        wanted = [name for name in names if target in self._patterns and self._is_wanted(target, name)]
        now = self._clock()
        is_new = False
        names_of = self._heard.setdefault(target, {})
        for name in wanted:
            known = names_of.setdefault(name, _Known())
            is_new |= not known.until.keys() >= set(addresses)
            known.asked_at = now
            known.take(addresses[:MAX_ADDRESSES], now + time_to_live(ttl_s))
        while len(names_of) > MAX_HEARD:
            del names_of[min(names_of, key=lambda name: names_of[name].asked_at)]
        if is_new:
            self._settle()

    def tick(self) -> None:
        """Let end what is over."""
        self._settle()

    def _is_wanted(self, target: str, name: str) -> bool:
        return any(matches_name(pattern, name) for pattern in self._patterns[target])

    def _settle(self) -> None:
        now, asked = self._clock(), set(self._asked())
        self._resolved = {name: known for name, known in self._resolved.items() if name in asked}
        for known in self._resolved.values():
            if not known.problem:
                known.end(now)
        for names in self._heard.values():
            for name, known in list(names.items()):
                if not (name in self._resolved and self._resolved[name].problem):  # else nobody can say what it has now
                    known.end(now)
                if not known.until and known.asked_at <= now - FOLLOWED_S:
                    del names[name]
        told = {target: self._addresses(target) for target in self._patterns}
        if told != self._told:
            self._told = told
            self.edition += 1

    def _addresses(self, target: str) -> dict[str, frozenset[Address]]:
        heard = self._heard.get(target, {})
        found: dict[str, frozenset[Address]] = {}
        for pattern in self._patterns[target]:
            names = [name for name in heard if matches_name(pattern, name)]
            if not pattern.startswith("*."):
                names = [pattern]
            known = [each for name in names for each in (heard.get(name), self._resolved.get(name)) if each]
            found[pattern] = frozenset(address for each in known for address in each.until)
        return found

    # ---- what is told ----

    def with_addresses(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Return targets whose rules have the addresses of their names, too."""
        return tuple(self._one(target) for target in targets)

    def _one(self, target: Target) -> Target:
        told = self._told.get(target.name)
        if not told:
            return target
        rules = tuple(
            replace(rule, peers=_together(rule.peers, (address for name in rule.names for address in told[name])))
            if rule.names
            else rule
            for rule in target.rules.rules
        )
        return replace(target, rules=replace(target.rules, rules=rules))

    def status(self, target: str) -> list[dict[str, Any]]:
        """Return a row for each name of a target's rules: how many addresses, some of them, and what is wrong."""
        rows = []
        for pattern, addresses in self._told.get(target, {}).items():
            known = self._resolved.get(pattern)
            row = {
                "name": pattern,
                "addresses": len(addresses),
                "some": sorted(map(str, addresses))[:SHOWN],
                "problem": known.problem if known else "",
            }
            rows.append(row)
        return rows

    # ---- what outlives a process ----

    def dump(self, now: float) -> dict[str, Any]:
        """Return what is known as JSON; times since 1970, of which `now` is this moment's."""
        ahead = now - self._clock()

        def written(names: Mapping[str, _Known]) -> dict[str, Any]:
            return {
                name: {
                    "asked": known.asked_at + ahead,
                    "until": {str(address): until + ahead for address, until in known.until.items()},
                }
                for name, known in names.items()
            }

        return {
            "resolved": written(self._resolved),
            "heard": {name: written(each) for name, each in self._heard.items()},
        }

    def load(self, document: Any, now: float) -> None:
        """Take what `dump` wrote, before `follow`; raise ValueError, TypeError, KeyError, AttributeError for others."""
        behind = self._clock() - now

        def read(names: Mapping[str, Any]) -> dict[str, _Known]:
            return {
                str(name): _Known(
                    {
                        ip_address(address): min(float(until), now + MAX_TTL_S + GRACE_S) + behind
                        for address, until in list(known["until"].items())[:MAX_ADDRESSES]
                    },
                    asked_at=min(float(known["asked"]), now) + behind,
                )
                for name, known in list(names.items())[:MAX_HEARD]
            }

        resolved = read(document["resolved"])
        for known in resolved.values():
            known.problem = "not asked for yet"  # what was last known stays until a resolver says otherwise
        self._resolved, self._heard = resolved, {str(name): read(each) for name, each in document["heard"].items()}
        self._patterns = {}


def _together(peers: tuple[Network, ...], addresses: Iterable[Address]) -> tuple[Network, ...]:
    """Return peers with these addresses, in an order of their own, so that the same make the same rule."""
    found = [each for each in peers if each not in NOBODY]
    found += (ip_network(address) for address in addresses)
    four = collapse_addresses(each for each in found if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in found if isinstance(each, IPv6Network))
    return (*four, *six) or NOBODY
