"""Which identity provider people sign in with, and what its groups may do: a file of its own, or `tap.auth` of
kubeshark.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from kubeshark.errors import UsageError
from kubeshark.hub.access._rights import RIGHTS, ROLES, Right, Role

__all__ = ["OidcSettings", "configured_oidc"]

KUBESHARKS: Mapping[str, Role] = {
    "kubeshark-admin": "admin",
    "kubeshark-realtime": "operator",
    "kubeshark-snapshot": "operator",
    "kubeshark-viewer": "viewer",
}
"""Roles that Kubeshark has by itself."""

EVERYBODY = ""
"""The group of `defaultRole`; no provider has one of that name."""

GRANTED = ("raw", "import", "clear", "firewall", "manage")
"""What a role of one's own may have beside reading."""


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider, and what its groups may do. `namespaces` of a group limit what its members see."""

    issuer: str
    client_id: str
    client_secret: str = ""
    groups_claim: str = "groups"
    roles: dict[str, Role] = {}  # group → role
    namespaces: dict[str, list[str]] = {}  # group → namespaces; a group that is not here sees all
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "profile", "email", "groups"])
    without: dict[str, list[Right]] = {}  # group → rights that its role has and its members have not
    default: str | None = None  # the group of everybody who is in none of `roles`; None: they are refused

    @classmethod
    def read(cls, text: bytes) -> OidcSettings:
        """Read JSON; UsageError says what is wrong with it."""
        try:
            settings = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise UsageError(f"the settings of the identity provider are wrong: {error}") from error
        settings.check()
        return settings

    def check(self) -> None:
        """Raise UsageError for what cannot be meant."""
        parts = urlsplit(self.issuer)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise UsageError(f"the issuer {self.issuer!r} is no https:// URL")
        if not self.roles:
            raise UsageError("no group has a role: nobody could sign in", hint='write {"roles": {"ops": "admin"}}')
        if self.default is not None and self.default not in self.roles:
            raise UsageError(f"the group {self.default!r}, which is everybody's, has no role")


class _OwnRole(Protocol):
    @property
    def capabilities(self) -> tuple[str, ...]: ...
    @property
    def namespaces(self) -> tuple[str, ...]: ...


class _Oidc(Protocol):
    @property
    def issuer(self) -> str: ...
    @property
    def client_id(self) -> str: ...


class _Auth(Protocol):
    """`tap.auth` of the settings."""

    @property
    def roles_claim(self) -> str: ...
    @property
    def group_mapping(self) -> Mapping[str, str]: ...
    @property
    def default_role(self) -> str: ...
    @property
    def roles(self) -> Mapping[str, _OwnRole]: ...
    @property
    def oidc(self) -> _Oidc: ...


def configured_oidc(auth: _Auth, client_secret: str) -> OidcSettings:
    """Return what `tap.auth` says; raise UsageError that names the key that is wrong."""
    if not auth.oidc.issuer or not auth.oidc.client_id:
        raise UsageError("tap.auth.oidc: issuer and clientId are needed for tap.auth.type oidc")
    groups = dict(auth.group_mapping)
    if auth.default_role:
        groups[EVERYBODY] = auth.default_role
    if not groups:
        raise UsageError("tap.auth: nobody could sign in", hint="see tap.auth.groupMapping and defaultRole")
    roles: dict[str, Role] = {}
    namespaces: dict[str, list[str]] = {}
    without: dict[str, list[Right]] = {}
    for group, name in groups.items():
        if name in auth.roles:
            own = auth.roles[name]
            roles[group], without[group] = _least(name, own.capabilities)
            if own.namespaces:
                namespaces[group] = list(own.namespaces)
        else:
            roles[group] = _known(group, name, auth.roles)
    settings = OidcSettings(
        auth.oidc.issuer,
        auth.oidc.client_id,
        client_secret,
        auth.roles_claim,
        roles,
        namespaces,
        without=without,
        default=EVERYBODY if auth.default_role else None,
    )
    settings.check()
    return settings


def _known(group: str, name: str, own: Iterable[str]) -> Role:
    found: Role | None = KUBESHARKS.get(name) or next((role for role in RIGHTS if role == name), None)
    if found is None:
        where = f"tap.auth.groupMapping: {group}" if group else "tap.auth.defaultRole"
        there = ", ".join((*ROLES, *sorted(own)))
        raise UsageError(f"{where}: there is no role {name!r}", hint=f"there are {there}; see tap.auth.roles")
    return found


def _least(name: str, capabilities: Iterable[str]) -> tuple[Role, list[Right]]:
    """Return the least role with these rights, and which of its rights are not among them."""
    wanted = frozenset(capabilities)
    if unknown := sorted(wanted - {*GRANTED, "read"}):
        raise UsageError(
            f"tap.auth.roles: {name}: there is no capability {unknown[0]!r}", hint=f"there are {', '.join(GRANTED)}"
        )
    role: Role = next(role for role, rights in RIGHTS.items() if wanted <= rights)
    return role, sorted(RIGHTS[role] - wanted - {"read"})
