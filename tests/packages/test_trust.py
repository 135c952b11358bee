"""Whose signatures count, for what, and until when."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._trust import TRUST_NAME, TrustedKey, add_key, doubts, find_key, read_trust, remove_key
from tests.packages._plugins import make_key


def test_adding_changing_removing(tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "a"), make_key(tmp_path / "b")
    assert read_trust(tmp_path) == []
    add_key(tmp_path, key, "acme")
    assert add_key(tmp_path, other).name.startswith("key-")
    add_key(tmp_path, key, until="2030-12-31", only=["acme-*"])
    found = find_key(read_trust(tmp_path), key)
    assert found is not None
    assert (found.name, found.until, found.only) == ("acme", "2030-12-31", ["acme-*"])
    with pytest.raises(UsageError, match="another key named 'acme'"):
        add_key(tmp_path, other, "acme")
    assert remove_key(tmp_path, "acme").key == key
    assert remove_key(tmp_path, other).key == other
    with pytest.raises(UsageError, match="no trusted key is named 'acme'"):
        remove_key(tmp_path, "acme")


@pytest.mark.parametrize(
    ("name", "until", "only", "reason"),
    [
        ("a/b\n", "", [], "is not a name"),
        ("a", "soon", [], "'soon' is not a day"),
        ("a", "", ["../*"], "is not a pattern"),
    ],
)
def test_what_cannot_be_meant(name: str, until: str, only: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        add_key(tmp_path, make_key(tmp_path / "key"), name, until, only)
    assert read_trust(tmp_path) == []


def test_doubts() -> None:
    key = "ed25519:x"
    keys = [TrustedKey("acme", key, until="2026-06-30", only=["acme-*", "demo"])]
    assert doubts(keys, key, "acme-redis", date(2026, 6, 30)) == ""
    assert doubts(keys, key, "demo", None) == ""
    assert "trusted for acme-*, demo only" in doubts(keys, key, "demos", None)
    assert "was trusted until 2026-06-30" in doubts(keys, key, "demo", date(2026, 7, 1))
    assert "which is not trusted" in doubts(keys, "ed25519:y", "demo", None)
    assert "was trusted until never" in doubts([TrustedKey("a", key, until="never")], key, "demo", date(2026, 1, 1))


def test_a_broken_file_gives_no_trust(tmp_path: Path) -> None:
    (tmp_path / TRUST_NAME).write_text('{"keys": [{"name": 1}]}')
    with pytest.raises(PluginRejected, match="cannot be read"):
        read_trust(tmp_path)
