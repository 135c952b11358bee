"""Policies that are kept: whole, by name, and nobody's change is undone unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.firewall import DocumentError, PolicyChanged, PolicyFolder
from tests.firewall._policies import EVERYBODY, SHOP, policy


def test_put_get_delete(tmp_path: Path) -> None:
    folder = PolicyFolder(tmp_path / "firewall")
    assert folder.all() == [] and folder.get("shop-db") is None
    kept = folder.put(SHOP, version="")
    assert (kept.text, kept.policy.name) == (SHOP, "shop-db")
    assert folder.get("shop-db") == kept and folder.all() == [kept]
    other = policy(f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]", name="a", priority=0)
    folder.put(other)
    assert [each.policy.name for each in folder.all()] == ["a", "shop-db"]
    folder.delete("shop-db", version=kept.version)
    assert [each.policy.name for each in folder.all()] == ["a"]
    with pytest.raises(UsageError, match="no policy 'shop-db'"):
        folder.delete("shop-db")


def test_a_change_names_what_it_replaces(tmp_path: Path) -> None:
    folder = PolicyFolder(tmp_path)
    first = folder.put(SHOP)
    folder.put(SHOP.replace("priority: 100", "priority: 101"), version=first.version)
    for version in (first.version, ""):
        with pytest.raises(PolicyChanged):
            folder.put(SHOP, version=version)
    with pytest.raises(PolicyChanged):
        folder.delete("shop-db", version=first.version)


def test_what_is_no_policy_is_not_kept(tmp_path: Path) -> None:
    folder = PolicyFolder(tmp_path)
    with pytest.raises(DocumentError):
        folder.put("kind: x")
    with pytest.raises(UsageError, match="2 policies in one document"):
        folder.put(SHOP + "---\n" + SHOP.replace("shop-db", "other"))
    assert list(tmp_path.iterdir()) == []
    for name in ("../x", ".hidden"):
        with pytest.raises(UsageError, match="no policy's name"):
            folder.get(name)


def test_a_broken_file_is_told_not_left_out(tmp_path: Path) -> None:
    folder = PolicyFolder(tmp_path)
    folder.put(SHOP)
    (tmp_path / "other.yaml").write_text(SHOP)
    with pytest.raises(UsageError, match="is not the policy 'other' alone"):
        folder.all()
