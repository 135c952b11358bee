"""A real OpenSSH server, and its client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ._relay import Relay
from ._servers import free_port, need, running


def test_handshake(tmp_path: Path) -> None:
    sshd, ssh, keygen = (
        need("sshd", "openssh-server"),
        need("ssh", "openssh-client"),
        need("ssh-keygen", "openssh-client"),
    )
    key, port = tmp_path / "key", free_port()
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    told = subprocess.run([keygen, "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it when root starts it
    config = tmp_path / "sshd_config"
    config.write_text(f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {key}\nPidFile none\nUsePAM no\n")
    options = [
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    with running([sshd, "-D", "-e", "-f", config], port), Relay(port, shown_port=22) as relay:
        subprocess.run(
            [ssh, *options, "-p", str(relay.port), "nobody@127.0.0.1", "true"], capture_output=True, timeout=10
        )
    entries = relay.entries("ssh")
    assert [entry.error for entry in entries] == [None] * 3
    assert [entry.get("ssh_type") for entry in entries] == ["identification", "algorithms", "key exchange"]
    banner, offer, exchange = entries
    assert banner.get("ssh_server_software").startswith("OpenSSH_")
    assert banner.get("ssh_client_software").startswith("OpenSSH_")
    assert offer.get("ssh_host_key_algorithm") == "ssh-ed25519"
    assert len(offer.get("ssh_hassh")) == len(offer.get("ssh_hassh_server")) == 32
    assert offer.get("ssh_kex") in offer.to_dict()["request"]["kex"]
    assert exchange.get("ssh_host_key_fingerprint") in told
