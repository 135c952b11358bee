"""A cluster in small: a network namespace for each host, all plugged into one bridge, which is where we listen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import network
from network import CABLE, inside

SWITCH, BRIDGE = "shop-switch", "bridge0"
DOMAIN = "shop.svc.example.test"
SHOP = "shop.example.test"  # what visitors type
PAYMENTS = "api.payments.example.test"  # another company's, therefore by its full name

SERVICES = {
    "dns": "10.78.0.2",
    "edge": "10.78.0.10",
    "web": "10.78.0.20",
    "catalog": "10.78.0.21",
    "cart": "10.78.0.22",
    "orders": "10.78.0.23",
    "payments": "10.78.0.24",
    "recommendations": "10.78.0.25",
    "media": "10.78.0.30",
    "cache": "10.78.0.40",
    "db": "10.78.0.41",
    "broker": "10.78.0.42",
    "worker": "10.78.0.43",
    "monitor": "10.78.0.50",
    "warehouse": "10.78.0.60",
}
VISITORS = {f"visitor-{number}": f"10.78.1.{10 + number}" for number in range(1, 6)}
HOSTS = SERVICES | VISITORS
NAMES = {address: f"{name}.{DOMAIN}" for name, address in SERVICES.items()} | {
    address: f"{name}.example.test" for name, address in VISITORS.items()
}
RECORDS = [(name, address) for address, name in NAMES.items()] + [
    (SHOP, SERVICES["edge"]),
    (PAYMENTS, SERVICES["payments"]),
]


@contextmanager
def cluster() -> Iterator[None]:
    """Build the network, and take it down again. Ethernet of 1500 bytes; nobody offloads segmentation."""
    _remove()
    try:
        _ip("netns", "add", SWITCH)
        _ip("-n", SWITCH, "link", "add", BRIDGE, "up", "type", "bridge")
        for number, (host, address) in enumerate(HOSTS.items()):
            name, port = namespace(host), f"port{number}"
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "add", CABLE, "type", "veth", "peer", "name", port, "netns", SWITCH)
            _ip("-n", SWITCH, "link", "set", port, "master", BRIDGE, "up")
            _ip("-n", name, "address", "add", f"{address}/16", "dev", CABLE)
            _ip("-n", name, "link", "set", CABLE, "up")
            subprocess.run(inside(name, sys.executable, network.__file__), check=True)
        yield
    finally:
        _remove()


def namespace(host: str) -> str:
    return f"shop-{host}"


def resolving(host: str, *command: str) -> list[str]:
    """Return the command line that gives `command` the resolver of this host; to be run in its namespace.

    `ip netns exec` has given the process mounts of its own, so that the machine's file stays as it is.
    """
    kind = "visitors" if host in VISITORS else "cluster"
    resolver = Path(__file__).with_name(f"{kind}.resolv.conf")
    return ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolver), *command]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _remove() -> None:
    for name in (SWITCH, *map(namespace, HOSTS)):
        subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)
