"""What is known of names, by a clock that the test moves."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest

from kubeshark.firewall.names._names import (
    FOLLOWED_S,
    GRACE_S,
    MAX_ADDRESSES,
    MAX_HEARD,
    RETRY_S,
    NameBook,
    matches_name,
)
from kubeshark.firewall.names._resolver import Found
from kubeshark.firewall.rules._rules import NOBODY, Action, Direction, Rule, RuleSet, Tier
from kubeshark.firewall.sets._wire import Target

ONE, TWO = ip_address("192.0.2.1"), ip_address("2001:db8::2")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def target(name: str, *names: str) -> Target:
    rule = Rule("p", "r", Tier.ADMIN, Direction.EGRESS, Action.ACCEPT, NOBODY, (), names=names)
    return Target(name, RuleSet((rule,)), ("eth0",))


def peers(book: NameBook, of: Target) -> list[str]:
    [made] = book.with_addresses([of])
    return [str(network) for network in made.rules.rules[0].peers]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_behind_a_star_are_one_label_or_more() -> None:
    assert matches_name("*.a.test", "x.a.test") and matches_name("*.a.test", "y.x.a.test")
    assert not any(matches_name("*.a.test", name) for name in ("a.test", "xa.test", ".a.test", "x.b.test"))
    assert matches_name("a.test", "a.test") and not matches_name("a.test", "x.a.test")


def test_an_address_stays_for_its_time_and_a_while(clock: Clock) -> None:
    book, eth0 = NameBook(clock), target("eth0", "a.test")
    book.follow([eth0])
    assert peers(book, eth0) == ["0.0.0.0/32"] and book.due() == ["a.test"]
    book.resolved({"a.test": Found((ONE,), 30)})
    edition = book.edition
    assert peers(book, eth0) == ["192.0.2.1/32"] and book.due() == []
    clock.now += 31
    assert book.due() == ["a.test"]
    book.resolved({"a.test": Found((TWO,), 30)})
    assert peers(book, eth0) == ["192.0.2.1/32", "2001:db8::2/128"] and book.edition == edition + 1
    clock.now += GRACE_S
    book.tick()
    assert peers(book, eth0) == ["2001:db8::2/128"]
    book.resolved({"a.test": Found()})  # the name is gone
    clock.now += 31
    book.tick()
    assert peers(book, eth0) == ["0.0.0.0/32"]


def test_what_was_known_stays_while_nobody_answers(clock: Clock) -> None:
    book, eth0 = NameBook(clock), target("eth0", "a.test")
    book.follow([eth0])
    book.resolved({"a.test": Found((ONE,), 30)})
    for _ in range(100):
        clock.now += GRACE_S
        assert book.due() == ["a.test"]
        book.resolved({"a.test": Found(problem="no answer")})
        book.tick()
    assert peers(book, eth0) == ["192.0.2.1/32"]
    assert book.status("eth0") == [{"name": "a.test", "addresses": 1, "some": ["192.0.2.1"], "problem": "no answer"}]
    clock.now += RETRY_S
    book.resolved({"a.test": Found((TWO,), 30)})
    assert peers(book, eth0) == ["2001:db8::2/128"]  # its time was over long ago


def test_what_a_subject_heard_is_its_targets_alone(clock: Clock) -> None:
    book, one, two = NameBook(clock), target("one", "*.a.test"), target("two", "*.a.test")
    book.follow([one, two])
    assert book.due() == []  # nobody can ask for all names behind a star
    book.heard("one", ["x.a.test", "edge.b.test"], [ONE], 30)
    assert peers(book, one) == ["192.0.2.1/32"] and peers(book, two) == ["0.0.0.0/32"]
    assert book.due() == ["x.a.test"]  # asked for again, so that long connections go on
    for _ in range(10):
        clock.now += GRACE_S
        book.resolved({"x.a.test": Found((ONE,), 30)})
    assert peers(book, one) == ["192.0.2.1/32"]
    clock.now += FOLLOWED_S
    book.tick()
    assert book.due() == [] and peers(book, one) == ["0.0.0.0/32"]


def test_everything_is_bounded(clock: Clock) -> None:
    book, eth0 = NameBook(clock), target("eth0", "*.a.test")
    book.follow([eth0])
    for number in range(MAX_HEARD + 50):
        clock.now += 1
        book.heard("eth0", [f"n{number}.a.test"], [ip_address(number + 1)], 30)
    assert len(book._heard["eth0"]) == MAX_HEARD
    book.heard("eth0", ["x.a.test"], [ip_address(1 << 24 | number) for number in range(500)], 30)
    assert len(book._heard["eth0"]["x.a.test"].until) == MAX_ADDRESSES


def test_other_rules_forget_and_the_same_remember(clock: Clock) -> None:
    book, eth0 = NameBook(clock), target("eth0", "*.a.test", "b.test")
    book.follow([eth0])
    book.heard("eth0", ["x.a.test"], [ONE], 30)
    book.resolved({"b.test": Found((TWO,), 30)})
    book.follow([eth0, target("more", "c.test")])
    assert peers(book, eth0) == ["192.0.2.1/32", "2001:db8::2/128"]
    book.follow([target("eth0", "c.test")])
    book.follow([eth0])
    assert peers(book, eth0) == ["0.0.0.0/32"]


def test_what_is_remembered(clock: Clock) -> None:
    book, eth0 = NameBook(clock), target("eth0", "*.a.test", "b.test")
    book.follow([eth0])
    book.heard("eth0", ["x.a.test"], [ONE], 30)
    book.resolved({"b.test": Found((TWO,), 30)})
    document = json.loads(json.dumps(book.dump(5_000_000.0)))
    clock.now = 7.0  # another process, another clock
    again = NameBook(clock)
    again.load(document, 5_000_020.0)
    again.follow([eth0])
    assert peers(again, eth0) == ["192.0.2.1/32", "2001:db8::2/128"]
    assert set(again.due()) == {"x.a.test", "b.test"}
    for wrong in (None, [], {"resolved": {}}, {"resolved": {"a": {"until": {"x": 1}, "asked": 0}}, "heard": {}}):
        with pytest.raises((TypeError, KeyError, ValueError, AttributeError)):
            NameBook(clock).load(wrong, 0)


def test_static_peers_stay() -> None:
    book = NameBook()
    rule = Rule(
        "p", "r", Tier.ADMIN, Direction.EGRESS, Action.ACCEPT, (ip_network("10.0.0.0/8"),), (), names=("a.test",)
    )
    both = Target("eth0", RuleSet((rule,)), ("eth0",))
    book.follow([both])
    book.resolved({"a.test": Found((ONE,), 30)})
    assert peers(book, both) == ["10.0.0.0/8", "192.0.2.1/32"]
