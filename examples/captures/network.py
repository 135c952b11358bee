"""Two network namespaces joined by a virtual cable: clients on one end, servers on the other, nothing else on it."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CLIENTS, SERVERS = "ks-clients", "ks-servers"
CABLE = "cable0"

DNS = "10.77.0.53"
WEB = "10.77.0.10"
API = "10.77.0.11"
TEXT_SERVICES = "10.77.0.20"  # Redis, memcached, NATS, beanstalkd
BROKERS = "10.77.0.21"  # STOMP, MQTT
DATABASE = "10.77.0.22"
FILES = "10.77.0.30"  # TFTP
NOBODY_HOME = "10.77.0.99"  # refuses every connection
WEB_V6 = "fd77::10"
LAPTOP, BUILD_MACHINE, PHONE = "10.77.0.101", "10.77.0.102", "10.77.0.103"
LAPTOP_V6 = "fd77::101"

SERVER_ADDRESSES = (DNS, WEB, API, TEXT_SERVICES, BROKERS, DATABASE, FILES, NOBODY_HOME, WEB_V6)
CLIENT_ADDRESSES = (LAPTOP, BUILD_MACHINE, PHONE, LAPTOP_V6)
NAMES = {
    DNS: "dns.example.test",
    WEB: "shop.example.test",
    API: "api.example.test",
    TEXT_SERVICES: "services.example.test",
    BROKERS: "brokers.example.test",
    DATABASE: "db.example.test",
    FILES: "files.example.test",
    WEB_V6: "shop.example.test",
    LAPTOP: "laptop.example.test",
    BUILD_MACHINE: "build.example.test",
    PHONE: "phone.example.test",
}

SIOCETHTOOL = 0x8946  # linux/sockios.h
SET_TX_CHECKSUM, SET_SEGMENTATION, SET_GENERIC_SEGMENTATION = 0x17, 0x1F, 0x24  # linux/ethtool.h


@contextmanager
def two_namespaces() -> Iterator[None]:
    """Build them, give them their addresses, and take them down again."""
    _remove()
    try:
        for namespace in (CLIENTS, SERVERS):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", CLIENTS, "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", SERVERS)
        for namespace, addresses in ((CLIENTS, CLIENT_ADDRESSES), (SERVERS, SERVER_ADDRESSES)):
            for address in addresses:
                if ":" in address:  # nodad: an address that is still being probed cannot be bound
                    _ip("-n", namespace, "address", "add", f"{address}/64", "dev", CABLE, "nodad")
                else:
                    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", CABLE)
        for namespace in (CLIENTS, SERVERS):
            _ip("-n", namespace, "link", "set", CABLE, "up")
            _run(*inside(namespace, sys.executable, __file__))
        yield
    finally:
        _remove()


def inside(namespace: str, *command: str) -> list[str]:
    """Return the command line that runs `command` in a namespace, under the same process id.

    The machine has another name there: servers tell it to their clients, and it is nobody's business.
    """
    rename = 'echo sample > /proc/sys/kernel/hostname && exec "$@"'
    return ["ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c", rename, "sh", *command]


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _remove() -> None:
    for namespace in (CLIENTS, SERVERS):
        subprocess.run(["ip", "netns", "delete", namespace], check=False, stderr=subprocess.DEVNULL)


def _turn_off_offloads() -> None:
    """Have the kernel cut and checksum what it sends, as on a real cable; runs inside each namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in (SET_TX_CHECKSUM, SET_SEGMENTATION, SET_GENERIC_SEGMENTATION):
            off = array.array("I", [command, 0])
            address, _ = off.buffer_info()
            fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP16x", CABLE.encode(), address))


if __name__ == "__main__":
    _turn_off_offloads()
