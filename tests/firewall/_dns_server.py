"""A real DNS server, dnsmasq, in a network namespace; its names change as it runs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.firewall._namespaces import ip

__all__ = ["DnsServer", "dns_server"]


class DnsServer:
    def __init__(self, namespace: str, address: str, folder: Path, ttl_s: int) -> None:
        self.namespace, self.address = namespace, address
        self._hosts, self._ttl_s = folder / "hosts", ttl_s
        self._log = folder / "dnsmasq.log"
        self._process: subprocess.Popen[bytes] | None = None

    def says(self, names: Mapping[str, Sequence[str]]) -> None:
        """Answer so from now on."""
        lines = [f"{address} {name}\n" for name, addresses in names.items() for address in addresses]
        self._hosts.write_text("".join(lines))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)
            time.sleep(0.2)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", self.namespace, "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts",
                f"--addn-hosts={self._hosts}", f"--local-ttl={self._ttl_s}", "--bind-interfaces", "--user=root",
                f"--listen-address={self.address}", "--pid-file=", "--local=/test/", f"--log-facility={self._log}",
                "--cname=alias.test,exact.test",
            ]
        )  # fmt: skip
        end = time.monotonic() + 60
        while "read" not in (self._log.read_text() if self._log.exists() else ""):
            assert time.monotonic() < end and self._process.poll() is None
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._log.unlink(missing_ok=True)


@contextmanager
def dns_server(
    namespace: str, address: str, folder: Path, names: Mapping[str, Sequence[str]], ttl_s: int = 60
) -> Iterator[DnsServer]:
    if shutil.which("dnsmasq") is None:
        pytest.skip("no dnsmasq: apt-get install dnsmasq-base")
    server = DnsServer(namespace, address, folder, ttl_s)
    server.says(names)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def resolv_conf(namespace: str, *servers: str) -> Iterator[None]:
    """Have `ip netns exec NAMESPACE` see these resolvers in /etc/resolv.conf."""
    folder = Path("/etc/netns") / namespace
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers))
    try:
        yield
    finally:
        shutil.rmtree(folder)


def add_addresses(namespace: str, *addresses: str) -> None:
    for address in addresses:
        ip("-n", namespace, "address", "add", address, "dev", "eth0")
