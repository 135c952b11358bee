"""Tokens and sessions: who they say somebody is, for how long, and what lies on disk of them."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub.access._rights import LOCAL, make_principal
from kubeshark.hub.access._sessions import Sessions, session_key
from kubeshark.hub.access._tokens import Tokens


def test_a_token_is_found_by_what_was_printed_and_lies_nowhere(folder: Path) -> None:
    tokens = Tokens(folder)
    token, text = tokens.new("ci", "operator", namespaces=["shop"], without=["clear"])
    principal = Tokens(folder).find(text)
    assert principal is not None
    assert (principal.name, principal.role, principal.namespaces) == ("ci", "operator", {"shop"})
    assert principal.rights == {"read"}
    assert text.split("_", 2)[2] not in tokens.path.read_text()
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    for wrong in ("", "ks", "ks__", f"ks_{token.id}_", text[:-1], f"{text}x", text.replace("ks_", "kx_"), "ks_x_y"):
        assert tokens.find(wrong) is None


def test_a_token_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(folder)
    token, text = tokens.new("short", "viewer", lasts_s=60)
    assert tokens.find(text)
    assert tokens.has(token.id)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert tokens.find(text) is None
    assert not tokens.has(token.id)


def test_revoking_needs_one_of_that_name(folder: Path) -> None:
    tokens = Tokens(folder)
    first, _ = tokens.new("twin", "viewer")
    tokens.new("twin", "viewer")
    for name in ("twin", "nobody"):
        with pytest.raises(UsageError):
            tokens.revoke(name)
    assert tokens.revoke(first.id) == first
    assert len(Tokens(folder).all()) == 1


def test_names_and_namespaces_are_checked(folder: Path) -> None:
    for name, namespaces in (("", None), (" ", None), ("a\nb", None), ("x", ["Shop"]), ("x", ["a_b"]), ("x", [""])):
        with pytest.raises(UsageError):
            Tokens(folder).new(name, "viewer", namespaces=namespaces)


def test_a_broken_file_lets_nobody_in(folder: Path) -> None:
    tokens = Tokens(folder)
    _, text = tokens.new("x", "viewer")
    tokens.path.write_text("[{]")
    with pytest.raises(StoreError, match="cannot be read"):
        tokens.find(text)


def test_a_session_says_who_it_is_until_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(b"k" * 32)
    for principal in (LOCAL, make_principal("v", "viewer", namespaces=["a", "b"], source="t1")):
        cookie = sessions.cookie(principal)
        assert sessions.read(cookie) == principal
        assert Sessions(b"l" * 32).read(cookie) is None
        assert sessions.csrf(cookie) != Sessions(b"l" * 32).csrf(cookie)
    for wrong in ("", "x", cookie[:-1], cookie + "x", "." + cookie, "x" * 10_000):
        assert sessions.read(wrong) is None
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert sessions.read(cookie) is None


def test_the_key_is_made_once_and_is_its_users_alone(folder: Path) -> None:
    key = session_key(folder)
    assert session_key(folder) == key
    assert stat.S_IMODE((folder / "session.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["session.key"]
    (folder / "session.key").write_bytes(b"short")
    with pytest.raises(StoreError, match="is no key"):
        session_key(folder)
