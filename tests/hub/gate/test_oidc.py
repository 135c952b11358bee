"""Signing in with a real provider: the browser's whole way there and back, and whoever tries a shorter one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub.access._oidc_settings import OidcSettings
from kubeshark.hub.gate._oidc import Provider
from tests.hub._serving import Hub, serving

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubeshark"
ROLES = {"ops": "admin", "shop": "viewer"}


def settings(issuer: str, **more: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "client_id": "kubeshark",
        "client_secret": "the-secret-of-the-test",
        "roles": ROLES,
        "namespaces": {"shop": ["shop", "shop-test"]},
        **more,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where oidc-provider lies; scripts/oidc_provider.sh installs it."""
    found = sorted(CACHE.glob("oidc-provider-*/node_modules"))
    if not found or not node():
        pytest.skip("no oidc-provider: scripts/oidc_provider.sh installs it with npm, once")
    return found[-1]


def node() -> str | None:
    beside = Path(os.sys.executable).with_name("node")  # type: ignore[attr-defined]
    return shutil.which("node") or (str(beside) if beside.exists() else None)


BASE = "/shark"


@dataclass(frozen=True)
class Site:
    hub: Hub
    issuer: str
    base: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.hub.address}:{self.hub.port}{self.base}"


@pytest.fixture(scope="module")
def site(modules: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub and its provider."""
    home = tmp_path_factory.mktemp("oidc")
    issuer, port = f"http://127.0.0.1:{free_port()}", free_port()
    (file := home / "oidc.json").write_text(json.dumps(settings(issuer)))
    with (
        provider(modules, issuer, f"http://127.0.0.1:{port}/auth/callback"),
        serving(home / "store", root, home, options=("--oidc", str(file), "--port", str(port))) as hub,
    ):
        yield Site(hub, issuer)


@contextmanager
def provider(modules: Path, issuer: str, redirect: str) -> Iterator[None]:
    program = [node(), Path(__file__).with_name("provider.mjs"), modules, issuer.rpartition(":")[2], redirect]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # type: ignore[arg-type]
        try:
            assert process.stdout
            assert process.stdout.readline().strip() == "ready"
            yield
        finally:
            process.kill()


def sign_in(browser: httpx.Client, site: Site, user: str, *, stop_at: str = "") -> httpx.Response:
    """Walk from the hub to the provider and back; stop before the address that contains `stop_at`."""
    browser.cookies.set("user", user, domain="127.0.0.1")
    answer = browser.get(f"{site.url}/")
    for _ in range(12):
        if answer.status_code not in (302, 303):
            break
        target = str(answer.next_request.url) if answer.next_request else ""
        if stop_at and stop_at in target:
            break
        answer = browser.get(target)
    return answer


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def test_a_member_signs_in_and_has_the_role_of_the_group(site: Site, browser: httpx.Client) -> None:
    arrived = sign_in(browser, site, "alice")
    assert (arrived.status_code, arrived.url.path) == (200, "/auth/callback")
    session = browser.get(f"{site.url}/api/v1/session").json()
    assert (session["name"], session["role"], session["namespaces"]) == ("alice@example.test", "admin", None)
    assert browser.get(f"{site.url}/").status_code == 200
    assert browser.put(f"{site.url}/api/v1/settings", json={}).status_code == 403  # no token against forgery
    kept = browser.put(f"{site.url}/api/v1/settings", json={}, headers={"x-csrf-token": session["csrf"]})
    assert kept.status_code == 200
    audit = (Path(site.hub.home) / ".kubeshark" / "hub" / "audit.jsonl").read_text()
    assert '"sign in"' in audit
    assert "the-secret-of-the-test" not in audit


def test_groups_limit_rights_and_namespaces(site: Site, browser: httpx.Client) -> None:
    sign_in(browser, site, "bob")
    session = browser.get(f"{site.url}/api/v1/session").json()
    assert (session["role"], session["namespaces"], session["rights"]) == ("viewer", ["shop", "shop-test"], ["read"])
    assert browser.get(f"{site.url}/api/v1/query").text == ""  # nothing recorded here lies in those
    for path in ("info", "overview", "export", "settings"):
        assert browser.get(f"{site.url}/api/v1/{path}").status_code == 403, path


@pytest.fixture(scope="module")
def deployed(modules: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub as a pod starts it: its configuration and the client's secret are files; it is found below a path."""
    home = tmp_path_factory.mktemp("deployed")
    issuer, port = f"http://127.0.0.1:{free_port()}", free_port()
    auth = {
        "type": "oidc",
        "groupMapping": {"ops": "kubeshark-admin", "shop": "watchers"},
        "defaultRole": "nobody",
        "roles": {
            "watchers": {"capabilities": ["raw"]},
            "nobody": {"namespaces": ["guest-*"]},
        },
        "oidc": {"issuer": issuer, "clientId": "kubeshark", "secret": "client"},
    }
    (home / "kubeshark.yaml").write_text(json.dumps({"tap": {"auth": auth, "routing": {"front": {"basePath": BASE}}}}))
    (home / "client_secret").write_text("the-secret-of-the-test\n")
    environment = {
        "KUBESHARK_CONFIG": str(home / "kubeshark.yaml"),
        "KUBESHARK_OIDC_SECRET_FILE": str(home / "client_secret"),
    }
    with (
        provider(modules, issuer, f"http://127.0.0.1:{port}{BASE}/auth/callback"),
        serving(home / "store", root, home, command="hub", options=("--port", str(port)), **environment) as hub,
    ):
        yield Site(Hub(f"http://127.0.0.1:{port}/"), issuer, BASE)
        assert hub.port == port


def test_the_hub_of_a_cluster_has_it_from_the_configuration(deployed: Site) -> None:
    found = {}
    for user in ("alice", "bob", "carol"):
        with httpx.Client(timeout=60) as browser:
            arrived = sign_in(browser, deployed, user)
            assert (arrived.status_code, arrived.url.path) == (200, f"{BASE}/auth/callback")
            assert f'content="0;url={BASE}/"' in arrived.text
            assert {each.path for each in browser.cookies.jar if each.name == "kubeshark_session"} == {f"{BASE}/"}
            session = browser.get(f"{deployed.url}/api/v1/session").json()
            found[user] = session["role"], session["namespaces"], session["rights"]
    assert found == {
        "alice": ("admin", None, ["clear", "firewall", "import", "manage", "raw", "read"]),
        "bob": ("operator", None, ["raw", "read"]),
        "carol": ("viewer", ["guest-*"], ["read"]),  # in no group that is named
    }


def test_whoever_is_in_no_such_group_is_refused(site: Site, browser: httpx.Client) -> None:
    arrived = sign_in(browser, site, "carol")
    assert arrived.status_code == 403
    assert "carol@example.test is in no group" in arrived.text
    assert browser.get(f"{site.url}/api/v1/session").status_code == 401


def test_an_answer_is_good_once_and_for_who_asked(site: Site, browser: httpx.Client) -> None:
    before = sign_in(browser, site, "alice", stop_at="/auth/callback")
    assert before.next_request is not None
    answer = str(before.next_request.url)
    with httpx.Client() as thief:
        assert thief.get(answer).status_code == 403
        thief.get(f"{site.url}/auth/login")  # a sign-in of its own, and the stolen code
        assert thief.get(answer).status_code == 403
        assert thief.get(f"{site.url}/api/v1/session").status_code == 401
    state = parse_qs(urlsplit(answer).query)["state"][0]
    assert browser.get(answer.replace(state, "x" * len(state))).status_code == 403
    assert browser.get(answer).status_code == 200
    browser.cookies.delete("kubeshark_session")
    assert browser.get(answer).status_code == 403  # the code is used up, and the cookie gone


def test_nothing_else_is_open(site: Site) -> None:
    for path in ("/api/v1/session", "/static/page.js", "/auth/other", "/metrics"):
        assert httpx.get(f"{site.url}{path}").status_code == 401, path
    assert httpx.post(f"{site.url}/auth/login").status_code == 401
    assert httpx.get(f"{site.url}/auth/callback?error=<script>").text.count("<script>") == 0
    assert httpx.get(f"{site.url}/auth/login", headers={"host": "evil.example"}).status_code == 421


# ID tokens that a provider could give, without a provider


KEY = RSAKey.generate_key(2048, parameters={"kid": "one"})
GOOD = {
    "iss": "https://id.example",
    "aud": "kubeshark",
    "sub": "u1",
    "nonce": "n",
    "exp": 4_000_000_000,
    "groups": "ops",
}


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> Provider:
    known = Provider(OidcSettings.read(json.dumps(settings("https://id.example")).encode()), b"k" * 32)
    keys = {"keys": [KEY.as_dict(private=False)]}
    known._metadata = {"jwks_uri": "https://id.example/keys"}
    monkeypatch.setattr(Provider, "_ask", lambda *_: keys)
    return known


def test_a_good_token_is_taken(checker: Provider) -> None:
    token = jwt.encode({"alg": "RS256", "kid": "one"}, GOOD, KEY)
    principal = checker.principal(checker._claims(token, "n"))
    assert (principal.name, principal.role, principal.namespaces) == ("u1", "admin", None)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"},
        {"aud": "somebody-else"},
        {"aud": ["kubeshark", "somebody-else"]},
        {"exp": 1},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
    ],
)
def test_a_token_for_another_purpose_is_refused(checker: Provider, change: dict[str, Any]) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(UsageError, match="ID token"):
        checker._claims(jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY), "n")


def test_a_token_with_another_signature_is_refused(checker: Provider) -> None:
    other = RSAKey.generate_key(2048, parameters={"kid": "one"})
    good = jwt.encode({"alg": "RS256", "kid": "one"}, GOOD, KEY)
    head, body, signature = good.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for token in (
        jwt.encode({"alg": "RS256", "kid": "one"}, GOOD, other),
        f"{unsigned}.{body}.",
        f"{unsigned}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "nonsense",
        "",
    ):
        with pytest.raises(UsageError, match="ID token"):
            checker._claims(token, "n")


def test_several_groups_add_up(checker: Provider) -> None:
    both = checker.principal({"sub": "u", "groups": ["shop", "ops", "other", 7]})
    assert (both.role, both.namespaces) == ("admin", None)
    one = checker.principal({"sub": "u", "groups": ["shop"]})
    assert (one.role, one.namespaces) == ("viewer", {"shop", "shop-test"})
    narrow = settings("https://id.example", roles={"ops": "admin", "everyone": "viewer"}, namespaces={"ops": ["shop"]})
    mixed = Provider(OidcSettings.read(json.dumps(narrow).encode()), b"k" * 32)
    assert mixed.principal({"sub": "u", "groups": ["ops", "everyone"]}).namespaces == {"shop"}
    for groups in ([], ["other"], "other", None, {"ops": 1}, 7):
        with pytest.raises(UsageError, match="no group"):
            checker.principal({"sub": "u", "groups": groups})


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://id.example"},
        {"issuer": "id.example"},
        {"roles": {}},
        {"roles": {"ops": "root"}},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        OidcSettings.read(json.dumps(settings("https://id.example") | wrong).encode())


def test_a_provider_that_does_not_answer_is_said() -> None:
    lost = Provider(OidcSettings.read(json.dumps(settings(f"http://127.0.0.1:{free_port()}")).encode()), b"k" * 32)
    with pytest.raises(StoreError, match="does not answer"):
        lost.begin("http://127.0.0.1/auth/callback")
