"""Who somebody is to the hub, and what that allows.

    viewer    read: entries with redaction rules applied, aggregates, map
    operator  … and raw (packets, bytes, followed streams, exports of packets), import, clear (no redaction), firewall
    admin     … and manage (delete, plugins, settings)

Whoever sees only some namespaces has none of the rights that go around entries: packets have no namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

__all__ = ["LOCAL", "RIGHTS", "ROLES", "Principal", "Right", "Role", "Who", "make_principal", "need", "need_all", "who"]

Role = Literal["viewer", "operator", "admin"]
Right = Literal["read", "raw", "import", "clear", "firewall", "manage"]

ROLES: tuple[Role, ...] = get_args(Role)
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "raw", "import", "clear", "firewall"}),
    "admin": frozenset({"read", "raw", "import", "clear", "firewall", "manage"}),
}
SCOPED: frozenset[Right] = frozenset({"read", "clear"})
"""What is left of a role whose view is limited to namespaces."""

READING: frozenset[Right] = frozenset({"read", "raw", "clear"})
"""What is left of a role where a hub lets nobody change anything."""

MEANING: Mapping[Right, str] = {
    "read": "to read entries",
    "raw": "to see packets and bytes",
    "import": "to import captures",
    "clear": "to see entries without redaction",
    "firewall": "to simulate, learn and keep firewall policies",
    "manage": "to change the store, plugins and settings",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who came in. `namespaces`: None: all. `source`: the token's id, "" for the one that serve printed."""

    name: str
    role: Role
    rights: frozenset[Right]
    namespaces: frozenset[str] | None = None
    source: str = ""

    @property
    def key(self) -> str:
        """What their requests are counted by."""
        return f"{self.source} {self.name}"

    @property
    def is_redacted(self) -> bool:
        return "clear" not in self.rights

    @property
    def sees_everything(self) -> bool:
        return self.namespaces is None and not self.is_redacted

    def reading(self) -> Principal:
        """Return them without the rights to change anything."""
        return replace(self, rights=self.rights & READING)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": self.role,
            "namespaces": None if self.namespaces is None else sorted(self.namespaces),
            "rights": sorted(self.rights),
            "redacted": self.is_redacted,
        }


def make_principal(
    name: str,
    role: Role,
    *,
    namespaces: Iterable[str] | None = None,
    without: Iterable[str] = (),
    source: str = "",
) -> Principal:
    """Return somebody with a role's rights, less those that the namespaces or `without` take away."""
    scope = None if namespaces is None else frozenset(namespaces)
    rights = RIGHTS[role] if scope is None else RIGHTS[role] & SCOPED
    return Principal(name, role, rights - frozenset(without), scope, source)


LOCAL = make_principal("local", "admin")
"""Whoever has the token that `kubeshark serve` printed."""


def who(connection: HTTPConnection) -> Principal:
    """Return who the gate let in."""
    principal: Principal = connection.scope["principal"]
    return principal


Who = Annotated[Principal, Depends(who)]


def need_all(connection: HTTPConnection) -> None:
    """Answer 403 to whoever sees only some namespaces: what is added up over a store tells of all of them."""
    principal = who(connection)
    if principal.namespaces is not None:
        raise HTTPException(403, f"{principal.name} sees some namespaces only, and this is about all of them")


def need(right: Right) -> Callable[[HTTPConnection], Principal]:
    """Return a dependency that answers 403 to whoever lacks a right, and says which roles have it."""

    def check(connection: HTTPConnection) -> Principal:
        principal = who(connection)
        if right not in principal.rights:
            roles = " or ".join(role for role in ROLES if right in RIGHTS[role])
            scope = ", and no namespaces to keep to" if right not in SCOPED else ""
            connection.app.state.hub.audit.note(principal, connection.url.path, outcome="refused", needs=right)
            if right not in READING and connection.scope["gate"].is_read_only:
                raise HTTPException(403, "this hub was started with --read-only: nobody may change anything")
            raise HTTPException(403, f"{principal.name} may not: {MEANING[right]} needs the role {roles}{scope}")
        return principal

    return check
