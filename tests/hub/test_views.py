"""What people with fewer rights see of a served store, and that nothing goes around it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.hub._serving import Hub, ask_socket

COOKIE = "8f14e45f"


def token(hub: Hub, name: str, *options: str) -> str:
    command = [sys.executable, "-m", "kubeshark", "hub", "token", "new", name, *options]
    environment = {"HOME": str(hub.home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ks_")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def viewer(hub: Hub) -> str:
    return token(hub, "viewer")


@pytest.fixture(scope="module")
def scoped(hub: Hub) -> str:
    return token(hub, "shop", "--role", "admin", "--namespace", "shop,shop-test")


def with_cookie(hub: Hub) -> str:
    """The id of an entry that has one."""
    answer = hub.get(f"/api/v1/query?{urlencode({'kfl': 'http && size(request.cookies) > 0'})}")
    return str(json.loads(answer.body.splitlines()[0])["id"])


def test_a_viewer_sees_no_secret_wherever_it_looks(hub: Hub, viewer: str) -> None:
    entry = with_cookie(hub)
    kfl = urlencode({"kfl": "http"})
    places = [
        f"query?{kfl}&form=entry&limit=1000",
        f"entries/{entry}",
        f"entries/{entry}?renderer=generic",
        f"export?{kfl}&format=har&redact=false",
        f"query/values?{kfl}&variable=request.cookies",
        f"query/values?{kfl}&variable=request.headers",
    ]
    for place in places[:4]:
        clear, hidden = hub.get(f"/api/v1/{place}"), hub.get(f"/api/v1/{place}", token=viewer)
        assert (clear.status, hidden.status) == (200, 200), place
        assert COOKIE.encode() in clear.body, place
        assert COOKIE.encode() not in hidden.body, place
        assert b"robots.txt" in hidden.body or entry.encode() in hidden.body
    for place in places[4:]:
        assert COOKIE.encode() not in hub.get(f"/api/v1/{place}", token=viewer).body
    with hub.socket(token=viewer) as socket:
        got = ask_socket(socket, 1, "http", columns=["request.headers", "request.cookies", "summary"])
        got.to_the_end()
    assert COOKIE not in json.dumps(got.columns)
    assert len(got.columns["id"]) > 10


def test_a_viewers_filter_is_no_oracle(hub: Hub, viewer: str) -> None:
    kfl = f'request.cookies["session"] == "{COOKIE}"'
    for name in ("query/count", "map", "timeline"):
        path = f"/api/v1/{name}?{urlencode({'kfl': kfl})}"
        assert hub.json(path)["entries"] > 0
        assert hub.json(path, token=viewer)["entries"] == 0
    with hub.socket(token=viewer) as socket:
        assert ask_socket(socket, 1, kfl).to_the_end()["rows"] == 0


FORBIDDEN: list[tuple[str, str, Any]] = [
    ("GET", "entries/{id}/raw", None),
    ("GET", "entries/{id}/packets", None),
    ("GET", "entries/{id}/packets/0", None),
    ("GET", "entries/{id}/stream", None),
    ("GET", "entries/{id}/pcap", None),
    ("GET", "export", None),
    ("GET", "export?format=pcap", None),
    ("POST", "export", {"ids": ["{id}"]}),
    ("POST", "imports?name=x", b"x"),
    ("GET", "imports", None),
    ("POST", "snapshots", {"name": "x", "since": "0", "until": "1"}),
    ("DELETE", "snapshots/x", None),
    ("POST", "store/prune", {"max_bytes": 0, "dry_run": False}),
    ("POST", "store/verify", None),
    ("PUT", "settings", {}),
    ("PUT", "workers", []),
    ("GET", "settings", None),
    ("POST", "settings/redaction/try", {"rules": []}),
    ("POST", "plugins", b"x"),
    ("POST", "plugins/x/enable", None),
    ("POST", "plugins/x/disable", None),
    ("PUT", "plugins/x/settings", {}),
    ("DELETE", "plugins/x", None),
    ("POST", "jobs/x/y/run", None),
    ("GET", "scripts/console", None),
    ("PUT", "scripts/x.js", {"text": "x"}),
    ("DELETE", "scripts/x.js", None),
    *(("POST", f"firewall/{what}", {"policy": "x"}) for what in ("simulate", "validate")),
    ("POST", "firewall/diff", {"old": "x", "new": "x"}),
    ("POST", "firewall/learn", {"subject": "host"}),
    ("PUT", "firewall/policies/x", {"policy": "x"}),
    ("DELETE", "firewall/policies/x", None),
    ("PUT", "firewall/policies", {"policy": "x"}),
    ("PUT", "firewall/inventory", {}),
    ("POST", "firewall/confirm", None),
    ("POST", "firewall/rollback", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN)
def test_what_needs_a_right_is_refused_and_says_which(
    hub: Hub, viewer: str, scoped: str, method: str, path: str, body: Any
) -> None:
    path = f"/api/v1/{path.replace('{id}', with_cookie(hub))}"
    for who in (viewer, scoped):
        answer = hub.ask(method, path, body, token=who)
        assert answer.status == 403, answer
        assert b"needs the role" in answer.body or b"may not" in answer.body or b"namespaces" in answer.body
    assert hub.ask("GET", "/metrics", token=viewer).status == 403


def test_every_endpoint_that_changes_something_is_in_that_table(hub: Hub) -> None:
    """A new endpoint is thought about."""
    paths = hub.json("/api/v1/openapi.json")["paths"]
    changing = {
        (method.upper(), path.removeprefix("/api/v1/"))
        for path, operations in paths.items()
        for method in operations
        if method in ("post", "put", "delete", "patch")
    }
    covered = {(method, path.partition("?")[0]) for method, path, _ in FORBIDDEN}
    named = r"(snapshots|policies|scripts)/x(\.js)?"
    known = {
        (method, re.sub(named, r"\1/{name}", path.replace("plugins/x", "plugins/{plugin_id}")))
        for method, path in covered
    } | {("POST", "jobs/{plugin_name}/{job_name}/run"), ("DELETE", "imports/{import_id}"), ("DELETE", "session")}
    own = {("PUT", "filters/{name}"), ("DELETE", "filters/{name}")}  # everybody's own
    assert changing <= known | own


def test_who_sees_some_namespaces_sees_nothing_of_the_others(hub: Hub, scoped: str) -> None:
    session = hub.json("/api/v1/session", token=scoped)
    assert (session["rights"], session["namespaces"]) == (["clear", "read"], ["shop", "shop-test"])
    assert hub.get("/api/v1/query", token=scoped).body.strip() == b""
    assert hub.get(f"/api/v1/entries/{with_cookie(hub)}", token=scoped).status == 404
    assert hub.json("/api/v1/map", token=scoped)["entries"] == 0
    assert hub.json("/api/v1/timeline", token=scoped)["lanes"] == []
    assert hub.json("/api/v1/query/histogram", token=scoped)["entries"] == 0
    assert json.loads(hub.get("/api/v1/export?format=har", token=scoped).body)["log"]["entries"] == []
    for path in ("info", "overview", "captures", "segments", "snapshots", "query/explain", "health", "jobs"):
        assert hub.get(f"/api/v1/{path}", token=scoped).status == 403, path


def test_an_operator_may_look_and_not_change(hub: Hub) -> None:
    operator = token(hub, "op", "--role", "operator")
    without = token(hub, "op2", "--role", "operator", "--without", "raw")
    packets = f"/api/v1/entries/{with_cookie(hub)}/packets"
    assert hub.get(packets, token=operator).status == 200
    assert hub.get(packets, token=without).status == 403
    assert hub.get("/api/v1/export", token=without).status == 403
    assert hub.ask("PUT", "/api/v1/settings", {}, token=operator).status == 403


def test_a_revoked_token_is_dead_at_once(hub: Hub) -> None:
    text = token(hub, "gone")
    assert hub.get("/api/v1/session", token=text).status == 200
    command = [sys.executable, "-m", "kubeshark", "hub", "token", "revoke", text.split("_")[1]]
    subprocess.run(command, env={"HOME": str(hub.home)}, capture_output=True, check=True)
    assert hub.get("/api/v1/session", token=text).status == 401


def test_the_audit_log_tells_who_looked_and_who_was_refused(hub: Hub, viewer: str) -> None:
    entry = with_cookie(hub)
    hub.get(f"/api/v1/entries/{entry}/stream")
    hub.get(f"/api/v1/entries/{entry}/stream", token=viewer)
    hub.get("/api/v1/export?" + urlencode({"kfl": 'http && path.contains("private-word")'}))
    text = (Path(hub.home) / ".kubeshark" / "hub" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    looked = [line for line in lines if line["action"] == "look at" and line["what"] == "followed stream"]
    assert (looked[-1]["who"], looked[-1]["client"], looked[-1]["entry"]) == ("local", "127.0.0.1", entry)
    refused = [line for line in lines if line["outcome"] == "refused" and line["who"] == "viewer"]
    assert refused[-1]["needs"] == "raw"
    assert "private-word" not in text
    assert viewer not in text
    assert hub.token not in text
