"""What `tap.auth` of the configuration makes of groups."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.hub.access._oidc_settings import OidcSettings, configured_oidc
from kubeshark.hub.gate._oidc import Provider
from kubeshark.settings import load

GOOD = {
    "groupMapping": {"sre": "admin", "dev": "shop-watchers", "ext": "packets"},
    "roles": {
        "shop-watchers": {"capabilities": ["clear"], "namespaces": ["shop", "shop-*"]},
        "packets": {"capabilities": ["raw", "firewall"]},
    },
    "oidc": {"issuer": "https://id.example", "clientId": "kubeshark"},
}


def configured(**changes: Any) -> OidcSettings:
    given = GOOD | changes
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    overrides = [f"tap.auth.{key}={text}" for key, text in texts.items()]
    flat = [each for each in overrides if not each.startswith("tap.auth.oidc=")]
    flat += [f"tap.auth.oidc.{key}={value}" for key, value in given["oidc"].items()]  # type: ignore[attr-defined]
    return configured_oidc(load(None, {}, flat).settings.tap.auth, "secret")


def rights(settings: OidcSettings, *groups: str) -> tuple[str, list[str], list[str] | None]:
    found = Provider(settings, b"k" * 32).principal({"sub": "somebody", "groups": list(groups)})
    return found.role, sorted(found.rights), None if found.namespaces is None else sorted(found.namespaces)


def test_roles_of_ones_own_have_what_they_are_given() -> None:
    settings = configured()
    assert rights(settings, "sre") == ("admin", ["clear", "firewall", "import", "manage", "raw", "read"], None)
    assert rights(settings, "ext") == ("operator", ["firewall", "raw", "read"], None)
    assert rights(settings, "dev") == ("operator", ["clear", "read"], ["shop", "shop-*"])
    assert rights(settings, "ext", "dev") == ("operator", ["firewall", "raw", "read"], None)  # clear is of shop alone
    with pytest.raises(UsageError, match="in no group that may use"):
        rights(settings, "others", "")


def test_everybody_else() -> None:
    settings = configured(defaultRole="kubeshark-viewer")
    assert rights(settings, "others") == rights(settings) == rights(settings, "") == ("viewer", ["read"], None)
    assert rights(settings, "sre", "others")[0] == "admin"
    assert rights(settings, "dev", "")[2] == ["shop", "shop-*"]  # the default adds nothing to who is in a group


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groupMapping": {}}, "nobody could sign in"),
        ({"groupMapping": {"a": "root"}}, "tap.auth.groupMapping: a: there is no role 'root'"),
        ({"defaultRole": "root"}, "tap.auth.defaultRole: there is no role 'root'"),
        ({"roles": {"x": {"capabilities": ["fly"]}}, "groupMapping": {"a": "x"}}, "there is no capability 'fly'"),
        ({"oidc": {"issuer": "https://id.example", "clientId": ""}}, "issuer and clientId are needed"),
        ({"oidc": {"issuer": "http://id.example", "clientId": "x"}}, "is no https:// URL"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        configured(**changes)


def test_the_secret_is_in_no_text() -> None:
    assert "secret" not in repr(Provider(configured(), b"k" * 32))
