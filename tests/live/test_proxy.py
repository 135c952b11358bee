"""The PROXY protocol as HAProxy and curl say it, and nginx hears it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ._relay import Relay
from ._servers import free_port, need, running
from .test_http import nginx

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen shop
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{relay} {send}
"""


def curl(*arguments: str) -> bytes:
    command = [need("curl"), "--silent", "--noproxy", "*", "--max-time", "10", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize(("send", "version"), [("send-proxy", "1"), ("send-proxy-v2", "2")])
def test_haproxy(tmp_path: Path, send: str, version: str) -> None:
    command, server = nginx(tmp_path, " proxy_protocol")
    haproxy = need("haproxy")
    with running(command, server), Relay(server, shown_port=80) as relay:
        port, configuration = free_port(), tmp_path / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(port=port, relay=relay.port, send=send))
        with running([haproxy, "-f", str(configuration)], port):
            assert curl(f"http://127.0.0.1:{port}/teapot") == b"short\n"
    found = relay.entries("proxy || http")
    announced = next(entry for entry in found if entry.get("proxy"))
    assert (announced.get("proxy_version"), announced.get("proxy_command")) == (version, "PROXY")
    assert (announced.get("proxy_family"), announced.get("proxy_src_ip")) == ("TCP4", "127.0.0.1")
    assert announced.get("proxy_dst_port") == port
    asked = next(entry for entry in found if entry.get("http"))
    assert (asked.get("path"), asked.get("status_code"), asked.error) == ("/teapot", 418, None)


def test_curl_to_nginx(tmp_path: Path) -> None:
    command, server = nginx(tmp_path, " proxy_protocol")
    with running(command, server), Relay(server, shown_port=80) as relay:
        assert curl("--haproxy-protocol", f"http://127.0.0.1:{relay.port}/teapot") == b"short\n"
    assert [entry.get("path") for entry in relay.entries("http")] == ["/teapot"]
    assert [entry.get("proxy_version") for entry in relay.entries("proxy")] == ["1"]
