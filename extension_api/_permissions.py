"""What a permission says: the texts of `[permissions]` in plugin.toml and of `--grant`, checked and compared.

    hosts   NAME, *.NAME, an IP address or network, each with [http:// or https://] before and [:PORT] behind; *
    paths   data (the plugin's own folder), /a/folder, ro:/a/folder; *
    env     NAME

A name covers both schemes at their own ports unless it says otherwise. `*.example.com` covers names below example.com,
not example.com. `*` covers any name and port, but no address that is not public: those (private, loopback, link-local,
metadata services) must be granted as an address, a network, or `localhost`. In a manifest `*` also asks the operator to
choose: what is granted may then be anything.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Self

from msgspec import Struct, field

__all__ = ["OWN_FOLDER", "Address", "Grants", "HostGrant", "PathGrant", "check_grant", "is_public"]

OWN_FOLDER = "data"
MAX_GRANT = 1024  # characters
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_HOST = re.compile(r"(?:(https?)://)?(\*|\[[0-9a-f:.]+\](?:/\d{1,3})?|[^\s:\[\]@?#\\]+)(?::(\d{1,5}))?", re.ASCII)
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, also the IPv4 one that an IPv6 address carries."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NAT64):
            return False
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


class HostGrant(Struct, frozen=True):
    """One text of `permissions.hosts`."""

    text: str
    scheme: str  # "" for both
    name: str  # "", "*", "*.example.com" or "example.com", lower case
    network: Network | None
    port: int  # 0: the scheme's own

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text says; ValueError says what is wrong with it."""
        match = _HOST.fullmatch(text.lower()) if len(text) <= MAX_GRANT else None
        if match is None:
            raise ValueError(
                "is no host: write hooks.example.com, *.example.com, 10.0.0.0/8 or https://hooks.example:8443"
            )
        scheme, host, port = match[1] or "", match[2], int(match[3] or 0)
        if port > 65535:
            raise ValueError("has no such port")
        if host == "*":
            return cls(text, scheme, "*", None, port)
        network = _network(host.replace("[", "").replace("]", ""))
        if network is None and not _NAME.fullmatch(host):
            raise ValueError("is no host name, address or network; other alphabets are written as xn--…")
        return cls(text, scheme, "" if network else host, network, port)

    def covers(self, scheme: str, host: str, port: int) -> bool:
        """Return whether a URL with this host (a name or an address, lower case) may be asked for."""
        if self.scheme not in ("", scheme):
            return False
        if self.name != "*" or self.port:  # "*" means any port too
            expected = self.port or DEFAULT_PORTS[scheme]
            if port != expected and not (self.network and not self.port):
                return False
        if self.network is not None:
            address = _address(host)
            return address is not None and self.holds(address, scheme, port)
        if self.name.startswith("*."):
            return host.endswith(self.name[1:]) and len(host) >= len(self.name)
        return self.name in ("*", host)

    def holds(self, address: Address, scheme: str, port: int) -> bool:
        """Return whether this grant names the address itself, for this port."""
        if self.scheme not in ("", scheme) or self.port not in (0, port):
            return False
        if self.name == "localhost":
            return address.is_loopback
        return self.network is not None and address.version == self.network.version and address in self.network


class PathGrant(Struct, frozen=True):
    """One text of `permissions.paths`."""

    text: str
    path: str  # OWN_FOLDER, or absolute
    writable: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text says; ValueError says what is wrong with it."""
        mode, colon, path = text.partition(":")
        if not colon or mode not in ("ro", "rw"):
            mode, path = "rw", text
        if path == OWN_FOLDER:
            return cls(text, path, mode == "rw")
        parts = path.split("/")
        if not path.startswith("/") or len(path) > MAX_GRANT or not path.isprintable() or {".", ".."} & set(parts):
            raise ValueError('is no folder: write "data", "/an/absolute/path" or "ro:/an/absolute/path"')
        clean = "/" + "/".join(part for part in parts if part)
        if clean == "/":
            raise ValueError("is the whole file system: name a folder")
        return cls(text, clean, mode == "rw")


class Grants(Struct, frozen=True):
    """What one plugin was given. Nothing by default."""

    hosts: tuple[HostGrant, ...] = ()
    paths: tuple[PathGrant, ...] = ()
    env: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, hosts: tuple[str, ...] = (), paths: tuple[str, ...] = (), env: tuple[str, ...] = ()) -> Self:
        """Return the grants that these texts say; ValueError for one that says nothing."""
        return cls(tuple(map(HostGrant.parse, hosts)), tuple(map(PathGrant.parse, paths)), frozenset(env))

    def host(self, scheme: str, host: str, port: int) -> bool:
        """Return whether a URL may be asked for, by its name."""
        return any(grant.covers(scheme, host, port) for grant in self.hosts)

    def address(self, address: Address, scheme: str, port: int) -> bool:
        """Return whether a connection may go there, once the name is granted: to public addresses, and named ones."""
        return is_public(address) or any(grant.holds(address, scheme, port) for grant in self.hosts)


def check_grant(kind: str, text: str, *, asked: tuple[str, ...] | None = None) -> None:
    """Refuse (ValueError) a text that is no permission of this kind, or, with `asked`, that nobody asked for."""
    if kind == "env":
        if not _ENV.fullmatch(text):
            raise ValueError("is no name of an environment variable")
    elif kind == "hosts":
        HostGrant.parse(text)
    elif text != "*" or asked is not None:
        PathGrant.parse(text)
    if asked is not None and text not in asked and ("*" not in asked or kind == "env"):
        raise ValueError("was not asked for")


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        if "/" in text:
            raise ValueError("is no network: the bits behind its prefix must be 0") from None
        return None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
