"""Policies of a hub: whole, by name, nobody's change is undone unseen; undone by themselves when nobody confirms."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import StoreError, UsageError
from kubeshark.firewall import DocumentError, NewPolicy, PolicyChanged, PolicyOwned, PolicyStore
from tests.firewall._policies import EVERYBODY, SHOP, policy

A = policy(f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]", name="a", priority=0)


B = policy(f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]", name="b", priority=0)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> PolicyStore:
    return PolicyStore(tmp_path / "firewall" / "policies.json", clock=clock)


def names(store: PolicyStore) -> list[str]:
    return [each.policy.name for each in store.all()]


def test_put_get_delete(store: PolicyStore, clock: Clock) -> None:
    assert store.all() == [] and store.get("shop-db") is None
    [kept] = store.change([NewPolicy(SHOP, version="")])
    assert (kept.text, kept.policy.name) == (SHOP, "shop-db")
    store.change([NewPolicy(A)])
    assert names(store) == ["a", "shop-db"] and store.revision == 2
    assert names(PolicyStore(store.path, clock=clock)) == ["a", "shop-db"]
    store.change(delete=[("shop-db", kept.version)])
    assert names(store) == ["a"]
    with pytest.raises(UsageError, match="no policy 'shop-db'"):
        store.change(delete=[("shop-db", None)])


def test_a_change_names_what_it_replaces(store: PolicyStore) -> None:
    [kept] = store.change([NewPolicy(A, version="")])
    for version in ("", "other"):
        with pytest.raises(PolicyChanged, match="changed meanwhile"):
            store.change([NewPolicy(A, version=version)])
    with pytest.raises(PolicyChanged):
        store.change([NewPolicy(SHOP)], revision=7)
    store.change([NewPolicy(A.replace("Deny", "Reject"), version=kept.version)], revision=1)
    assert "Reject" in store.all()[0].text


def test_what_is_wrong_changes_nothing(store: PolicyStore) -> None:
    store.change([NewPolicy(A)])
    with pytest.raises(DocumentError):
        store.change([NewPolicy(SHOP), NewPolicy("kind: Nothing")])

    def refuse(_: object) -> None:
        raise UsageError("257 rules")

    with pytest.raises(UsageError, match="257 rules"):
        store.change([NewPolicy(SHOP)], check=refuse)
    assert names(store) == ["a"] and store.revision == 1


def test_each_policy_has_its_own_time(store: PolicyStore, clock: Clock) -> None:
    store.change([NewPolicy(A, ttl_s=60)], confirm_s=0)
    store.change([NewPolicy(B)], confirm_s=0)
    clock.now += 59
    assert store.tick() == "" and store.ttl_left(store.all()[0]) == 1
    clock.now += 1
    assert "a: its time is over" in store.tick()
    assert names(store) == ["b"] and store.revision == 3
    assert store.roll_back() == 4
    assert names(store) == []  # what was in force before is over, too


def test_what_nobody_confirms_is_undone_and_another_change_confirms_nothing(store: PolicyStore, clock: Clock) -> None:
    store.change([NewPolicy(A)], confirm_s=0)
    store.change([NewPolicy(B)], confirm_s=60)
    clock.now += 30
    store.change([NewPolicy(A.replace("Deny", "Reject"))], confirm_s=0)
    assert store.seconds_left == 30
    clock.now += 30
    assert "not confirmed" in store.tick()
    assert [each.text for each in store.all()] == [A] and store.seconds_left is None
    with pytest.raises(UsageError, match="nothing to go back to"):
        store.roll_back()
    with pytest.raises(UsageError, match="nothing is waiting"):
        store.confirm()
    store.change([NewPolicy(B)], confirm_s=60)
    store.confirm()
    clock.now += 60
    assert store.tick() == "" and len(store.all()) == 2


def test_issues_rise(store: PolicyStore) -> None:
    first = store.next_issue()
    store.issued(first + 10**15)
    assert store.next_issue() == first + 10**15 + 1


def test_a_file_that_holds_no_policies(store: PolicyStore) -> None:
    store.change([NewPolicy(A)])
    store.path.write_text(store.path.read_text().replace("Deny", "Drop"))
    with pytest.raises(StoreError, match="holds no policies"):
        PolicyStore(store.path)


def test_an_objects_policy_is_changed_by_nobody_else(store: PolicyStore, clock: Clock) -> None:
    store.change([NewPolicy(A, owner="uid-1")], is_owner=True)
    store.change([NewPolicy(B)])
    for attempt in (
        lambda: store.change([NewPolicy(A)]),
        lambda: store.change(delete=[("a", None)]),
        lambda: store.change([NewPolicy(B, owner="uid-2")], is_owner=True),
        lambda: store.change(delete=[("b", None)], is_owner=True),
    ):
        with pytest.raises(PolicyOwned):
            attempt()
    again = PolicyStore(store.path, clock=clock)
    assert [(each.policy.name, each.owner) for each in again.all()] == [("a", "uid-1"), ("b", "")]
    again.change(delete=[("a", None)], is_owner=True)
    assert names(again) == ["b"]


def test_the_mode_of_policies_that_say_none(store: PolicyStore) -> None:
    silent = A.replace("  mode: Enforce\n", "")
    assert store.change([NewPolicy(silent)])[0].policy.mode == "Audit" and store.seconds_left is None
    store.default_mode = "Enforce"
    assert store.change([NewPolicy(silent)])[0].policy.mode == "Enforce"
    assert store.seconds_left == 60  # of the host: it could lock everybody out
    assert store.change([NewPolicy(SHOP)])[0].policy.mode == "Audit"
