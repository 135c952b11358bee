"""Saved filters: everybody has their own, they outlive the hub, and there is an end to them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from kubeshark.hub.access._rights import LOCAL, make_principal
from kubeshark.hub.access._tokens import Tokens
from kubeshark.hub.entries import _filters
from tests.hub._serving import Hub


def url(name: str) -> str:
    return f"/api/v1/filters/{quote(name, safe='')}"


def test_they_come_and_go(hub: Hub) -> None:
    assert hub.ask("PUT", url("slow / GET"), {"kfl": "http && elapsed_time > 5"}).status == 404  # a slash is no name
    assert hub.ask("PUT", url("slow GET"), {"kfl": "http && elapsed_time > 5"}).status == 200
    assert hub.ask("PUT", url("a"), {"kfl": "dns"}).status == 200
    assert hub.ask("PUT", url("a"), {"kfl": "dns && error"}).status == 200
    assert hub.json("/api/v1/filters") == [
        {"name": "a", "kfl": "dns && error"},
        {"name": "slow GET", "kfl": "http && elapsed_time > 5"},
    ]
    (file,) = (hub.home / ".kubeshark/hub/filters").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for name in ("a", "slow GET"):
        assert hub.ask("DELETE", url(name)).status == 204
    assert hub.ask("DELETE", url("a")).status == 404
    assert hub.json("/api/v1/filters") == []
    audit = hub.home / ".kubeshark/hub/audit.jsonl"
    assert not audit.exists() or "elapsed_time" not in audit.read_text()


def test_what_cannot_be_meant_is_not_saved(hub: Hub) -> None:
    answer = hub.ask("PUT", url("wrong"), {"kfl": "http && nonsense"})
    assert answer.status == 400
    assert json.loads(answer.body)["column"] == 9
    assert hub.ask("PUT", url("empty"), {"kfl": ""}).status == 422
    assert hub.ask("PUT", url("x" * 101), {"kfl": "http"}).status == 422
    assert hub.ask("PUT", url("\x1b[31m"), {"kfl": "http"}).status == 400


def test_nobody_sees_anothers(hub: Hub) -> None:
    tokens = Tokens(hub.home / ".kubeshark/hub")
    one, other = (tokens.new("ann", "viewer")[1] for _ in range(2))
    assert hub.ask("PUT", url("mine"), {"kfl": "http"}, token=one).status == 200
    assert hub.json("/api/v1/filters", token=one) == [{"name": "mine", "kfl": "http"}]
    assert hub.json("/api/v1/filters", token=other) == []
    assert hub.json("/api/v1/filters") == []
    assert hub.ask("DELETE", url("mine"), token=other).status == 404
    assert hub.get("/api/v1/filters", token="wrong").status == 401


def test_there_is_an_end_to_them(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Tokens(hub.home / ".kubeshark/hub").new("collector", "viewer")[1]
    for number in range(_filters.MAX_FILTERS):
        assert hub.ask("PUT", url(f"f{number}"), {"kfl": "http"}, token=secret).status == 200
    answer = hub.ask("PUT", url("one more"), {"kfl": "http"}, token=secret)
    assert (answer.status, b"delete some" in answer.body) == (409, True)
    assert hub.ask("PUT", url("f0"), {"kfl": "dns"}, token=secret).status == 200


def test_names_do_not_run_together(tmp_path: Path) -> None:
    one = make_principal("b", "viewer", source="a")
    other = make_principal("a\nb", "viewer")
    assert _filters._path(tmp_path, one) != _filters._path(tmp_path, LOCAL) != _filters._path(tmp_path, other)
    assert _filters._path(tmp_path, one).parent == tmp_path / "filters"
