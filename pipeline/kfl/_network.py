"""Addresses in filters: inCidr, isPrivate; and lower(), which names need."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kubeshark.pipeline.kfl._values import EvaluationError

__all__ = ["PRIVATE_NETWORKS", "address", "ascii_lower", "in_cidr", "in_network", "is_private", "network"]

PRIVATE_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598, shared
        "127.0.0.0/8",
        "169.254.0.0/16",  # RFC 3927, link-local
        "fc00::/7",  # RFC 4193
        "::1/128",
        "fe80::/10",
    )
)
_MAX_TEXT = 64  # longer than any address or network
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def ascii_lower(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_UPPER)


@lru_cache(maxsize=4096)
def address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address a text holds, or None; entries repeat few addresses, so the answers are kept."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def network(text: str) -> IPv4Network | IPv6Network:
    """Read `10.0.0.0/8` or a single address; host bits may be set. Raise EvaluationError."""
    try:
        return ip_network(text if len(text) <= _MAX_TEXT else "", strict=False)
    except ValueError:
        raise EvaluationError(f"not a network: {text[:40]}") from None


def in_network(text: str, within: IPv4Network | IPv6Network) -> bool:
    """Say whether a text is an address in a network; families never match each other."""
    found = address(text)
    return found is not None and found.version == within.version and found in within


def in_cidr(text: str, cidr: str) -> bool:
    return in_network(text, network(cidr))


@lru_cache(maxsize=4096)
def is_private(text: str) -> bool:
    return any(in_network(text, within) for within in PRIVATE_NETWORKS)
