"""Which nodes are trusted beside this one: those that were there when it got its key, in that store alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store import NodeKey, trusted_nodes
from kubeshark.core_capture.store.keys._known_nodes import signing_key
from kubeshark.errors import StoreError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBESHARK_NODE_KEY", raising=False)
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "keys" / "me.age"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_who_was_there_before_the_key(here: Path) -> None:
    assert trusted_nodes("store") == []
    key = signing_key("store", lambda: ["bb", "aa"])
    assert trusted_nodes("store") == trusted_nodes(str(here / "store")) == [key.public, "aa", "bb"]
    assert trusted_nodes("other") == trusted_nodes("s3://bucket/store") == [key.public]
    assert (here / "keys" / "known-nodes.json").stat().st_mode & 0o777 == 0o600


def test_nobody_is_added_later(here: Path) -> None:
    key = signing_key("store", list)
    assert not (here / "keys" / "known-nodes.json").exists()
    assert signing_key("store", lambda: ["aa"]).public == key.public
    assert trusted_nodes("store") == [key.public]


def test_a_key_that_was_lost_leaves_who_is_known() -> None:
    signing_key("store", lambda: ["aa"])
    Path("keys/node.key").unlink()
    assert trusted_nodes("store") == []  # without a key whoever signed counts, as ever
    key = signing_key("store", lambda: ["bb"])
    assert trusted_nodes("store") == [key.public, "aa", "bb"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}'])
def test_a_damaged_file_is_said(content: bytes) -> None:
    NodeKey.load_or_create()
    Path("keys/known-nodes.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"known-nodes\.json cannot be read"):
        trusted_nodes("store")
