"""Calls between two real SIP endpoints (sipp)."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from ._relay import Relay
from ._servers import free_port, need, running


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_call(tmp_path: Path, transport: str) -> None:
    sipp = need("sipp", "sip-tester")
    datagrams = transport == "udp"
    port = free_port(socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
    mode, quiet = ("u1", "t1")[not datagrams], ["-nostdin", "-i", "127.0.0.1"]
    server = [sipp, "-sn", "uas", "-p", str(port), "-t", mode, *quiet]
    with running(server, 0 if datagrams else port, cwd=tmp_path, env={"TERM": "dumb"}):
        time.sleep(0.3 if datagrams else 0)  # a UDP port says nothing
        with Relay(port, shown_port=5060, datagrams=datagrams) as relay:
            calls = ["-sn", "uac", f"127.0.0.1:{relay.port}", "-m", "2", "-t", mode, "-p", str(free_port()), "-d", "50"]
            subprocess.run(
                [sipp, *calls, *quiet, "-timeout", "8"], cwd=tmp_path, capture_output=True, timeout=15, check=True
            )
    entries = relay.entries("sip")
    assert [entry.error for entry in entries] == [None] * len(entries)
    shown = sorted((entry.get("sip_method"), entry.get("sip_status")) for entry in entries)
    assert shown == [("ACK", 0)] * 2 + [("BYE", 200)] * 2 + [("INVITE", 200)] * 2
    invite = next(entry for entry in entries if entry.get("sip_method") == "INVITE")
    assert invite.get("sip_from").startswith("sip:sipp@")
    document = invite.to_dict()
    assert document["request"]["sdp"]["media"][0]["type"] == "audio"
    assert document["response"]["headers"]["CSeq"] == "1 INVITE"
    assert len({entry.get("sip_call_id") for entry in entries}) == 2
