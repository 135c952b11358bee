"""The servers of the recording, each with its files in one scratch folder that goes away afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from network import BROKERS, FILES, SERVERS, TEXT_SERVICES, inside

PATIENCE_S = 30
LISTENING = "0A"  # in /proc/net/tcp


@dataclass(frozen=True)
class Server:
    command: list[str]
    package: str  # Debian's
    tcp_ports: tuple[int, ...] = ()  # it is up when it listens on these
    environment: dict[str, str] = field(default_factory=dict)


def all_servers(scratch: Path) -> dict[str, Server]:
    """Return the servers by name, in the order they start. Writes their configuration files."""
    return {
        "beanstalkd": Server(["beanstalkd", "-l", TEXT_SERVICES, "-p", "11300", "-z", "4096"], "beanstalkd", (11300,)),
        "tftp": Server(
            ["in.tftpd", "-L", "-c", "-s", "-u", "nobody", "-a", f"{FILES}:69", str(_tftp_files(scratch))], "tftpd-hpa"
        ),
        "epmd": Server(["epmd"], "erlang-base", (4369,)),  # of RabbitMQ; started here, or it would outlive us
        "rabbitmq": _rabbitmq(scratch),
    }


def missing_packages(servers: dict[str, Server]) -> list[str]:
    return sorted({server.package for server in servers.values() if shutil.which(server.command[0]) is None})


@contextmanager
def running(servers: dict[str, Server], scratch: Path) -> Iterator[None]:
    """Start the servers in their namespace, wait until all listen, end them afterwards."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, server in servers.items():
            with (scratch / f"{name}.log").open("wb") as log:
                started[name] = subprocess.Popen(
                    inside(SERVERS, *server.command),
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
        for process in started.values():
            process.wait(PATIENCE_S)


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


def _rabbitmq(scratch: Path) -> Server:
    home = scratch / "rabbitmq"
    home.mkdir()
    (home / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {BROKERS}:5672\n"
        f"stomp.listeners.tcp.1 = {BROKERS}:61613\n"
        "loopback_users = none\n"  # guest may come from the clients' namespace
    )
    (home / "enabled_plugins").write_text("[rabbitmq_stomp].\n")
    environment = {
        "HOME": str(home),
        "RABBITMQ_NODENAME": "sample@localhost",
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOGS": "-",
    }
    # Not Debian's wrapper in /usr/sbin, which changes the user.
    return Server(["/usr/lib/rabbitmq/bin/rabbitmq-server"], "rabbitmq-server", (5672, 61613), environment)


def _tftp_files(scratch: Path) -> Path:
    root = scratch / "tftp"
    root.mkdir()
    root.chmod(0o777)  # the server writes as nobody
    (root / "motd.txt").write_text("Welcome to the boot server.\nThe image is boot/kernel.img.\n")
    (root / "boot").mkdir()
    (root / "boot" / "kernel.img").write_bytes(bytes(range(256)) * 9 + b"end")  # several blocks, the last one short
    (root / "exactly-two-blocks.bin").write_bytes(b"\xa5" * 1024)  # ended by an empty third block
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root
