"""The servers of the recording: which they are, and how they start and end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import configurations
from network import API, FILES, SERVERS, TEXT_SERVICES, inside

PATIENCE_S = 30
LISTENING = "0A"  # in /proc/net/tcp
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # not Debian's wrapper in /usr/sbin, which changes the user

PROGRAMS = {
    "tcpdump": "tcpdump",
    "ip": "iproute2",
    "dnsmasq": "dnsmasq-base",
    "dig": "bind9-dnsutils",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "curl": "curl",
    "redis-server": "redis-server",
    "memcached": "memcached",
    "nats-server": "nats-server",
    "beanstalkd": "beanstalkd",
    RABBITMQ: "rabbitmq-server",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "in.tftpd": "tftpd-hpa",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "pgbench": "postgresql",
}
"""Program -> Debian package."""


@dataclass(frozen=True)
class Server:
    command: list[str]
    tcp_ports: tuple[int, ...] = ()  # it is up when it listens on these
    environment: dict[str, str] = field(default_factory=dict)
    namespace: str = SERVERS


def all_servers(scratch: Path) -> dict[str, Server]:
    """Return the servers by name, in the order they start. Writes their configuration files."""
    here = Path(__file__).parent
    text = TEXT_SERVICES
    redis = ["redis-server", "--bind", text, "--protected-mode", "no", "--save", "", "--dir", str(scratch)]
    tftp = ["in.tftpd", "-L", "-c", "-s", "-u", "nobody", "-a", f"{FILES}:69", str(configurations.tftp_files(scratch))]
    return {
        "dns": Server(["dnsmasq", "--keep-in-foreground", *configurations.dns_options()], (53,)),
        "web": Server(["nginx", "-c", str(configurations.nginx(scratch))], (80, 443, 8081)),
        "api": Server([sys.executable, str(here / "api.py"), API, "8080"], (8080,)),
        "redis": Server(redis, (6379,)),
        "memcached": Server(["memcached", "-l", text, "-u", "nobody"], (11211,)),
        "nats": Server(["nats-server", "-a", text], (4222,)),
        "beanstalkd": Server(["beanstalkd", "-l", text, "-z", "4096"], (11300,)),
        "mqtt": Server(["mosquitto", "-c", str(configurations.mosquitto(scratch))], (1883,)),
        "postgresql": Server(configurations.postgresql(scratch), (5432,)),
        "tftp": Server(tftp),
        # RabbitMQ would start this one itself, and leave it behind.
        "epmd": Server(["epmd"], (4369,)),
        "rabbitmq": Server([RABBITMQ], (61613,), configurations.rabbitmq(scratch)),
    }


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return the Debian packages of programs that are not there."""
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})


@contextmanager
def running(servers: dict[str, Server], scratch: Path) -> Iterator[None]:
    """Start the servers in their namespaces, wait until all listen, end them afterwards."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, server in servers.items():
            with (scratch / f"{name}.log").open("wb") as log:
                started[name] = subprocess.Popen(
                    inside(server.namespace, *server.command),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **server.environment},
                    start_new_session=True,  # so that it can be ended with all its children
                )
            _wait_until_up(name, started[name], set(server.tcp_ports), scratch)
        yield
    finally:
        for process in reversed(started.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(PATIENCE_S)  # before the next: RabbitMQ replaces an epmd that goes first, and leaves it


def _wait_until_up(name: str, process: subprocess.Popen[bytes], ports: set[int], scratch: Path) -> None:
    """Look at the kernel's table of sockets: trying to connect would be recorded."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
        if ports <= _listening_ports(process.pid):
            return
    raise RuntimeError(f"{name} did not start:\n{(scratch / f'{name}.log').read_text(errors='replace')}")


def _listening_ports(process_id: int) -> set[int]:
    rows = []
    for table in ("tcp", "tcp6"):
        rows += [row.split() for row in Path(f"/proc/{process_id}/net/{table}").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING}
