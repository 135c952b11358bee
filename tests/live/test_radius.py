"""A real FreeRADIUS, asked by radclient."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ._relay import Relay
from ._servers import free_port, need, running

CONFIGURATION = """
prefix = /usr
localstatedir = {folder}
raddbdir = {folder}
run_dir = {folder}
logdir = {folder}
libdir = /usr/lib/freeradius
name = freeradius
pidfile = {folder}/pid
log {{
    destination = stdout
}}
client local {{
    ipaddr = 127.0.0.1
    secret = testing123
}}
modules {{
    pap {{
    }}
    chap {{
    }}
    files {{
        usersfile = {folder}/users
    }}
    always ok {{
        rcode = ok
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {auth}
    }}
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {acct}
    }}
    authorize {{
        chap
        files
        pap
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
        Auth-Type CHAP {{
            chap
        }}
    }}
    accounting {{
        ok
    }}
}}
"""
USERS = 'ada Cleartext-Password := "engine"\n    Reply-Message := "Welcome", Framed-IP-Address := 192.0.2.7\n'


@dataclass
class Ports:
    auth: int
    acct: int


@pytest.fixture(scope="module")
def server() -> Iterator[Ports]:
    freeradius = need("freeradius")
    need("radclient", "freeradius-utils")
    ports = Ports(free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM))
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"folder": folder, "auth": ports.auth, "acct": ports.acct}
        (folder / "freeradius.conf").write_text(CONFIGURATION.format(**settings))
        (folder / "users").write_text(USERS)
        (folder / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
        with running([freeradius, "-f", "-d", folder, "-n", "freeradius"]):
            ask(ports.auth, "auth", "User-Name=nobody,User-Password=x", tries=20)  # it is there once it answers
            yield ports


def ask(port: int, kind: str, attributes: str, *, tries: int = 1) -> None:
    for _ in range(tries):
        done = subprocess.run(
            ["radclient", "-r", "1", "-t", "1", f"127.0.0.1:{port}", kind, "testing123"],
            input=attributes,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if "Received" in done.stdout:
            return
        time.sleep(0.1)


def test_authentication(server: Ports) -> None:
    with Relay(server.auth, shown_port=1812, datagrams=True) as relay:
        ask(relay.port, "auth", "User-Name=ada,User-Password=engine,NAS-Port=7,Message-Authenticator=0x00")
        ask(relay.port, "auth", "User-Name=ada,CHAP-Password=engine,Service-Type=Framed-User")
        ask(relay.port, "auth", "User-Name=ada,User-Password=wrong")
    entries = relay.entries("radius")
    assert [entry.error for entry in entries] == [None] * 3
    answers = [entry.get("radius_reply_name") for entry in entries]
    assert answers == ["Access-Accept", "Access-Accept", "Access-Reject"]
    assert {entry.get("radius_username") for entry in entries} == {"ada"}
    document = entries[0].to_dict()
    shown = {attribute["name"]: attribute["value"] for attribute in document["response"]["attributes"]}
    assert (shown["Reply-Message"], shown["Framed-IP-Address"]) == ("Welcome", "192.0.2.7")
    asked = {attribute["name"]: attribute["value"] for attribute in document["request"]["attributes"]}
    assert (asked["User-Password"], asked["NAS-Port"]) == ("[redacted]", "7")


def test_accounting(server: Ports) -> None:
    with Relay(server.acct, shown_port=1813, datagrams=True) as relay:
        ask(relay.port, "acct", "User-Name=ada,Acct-Status-Type=Start,Acct-Session-Id=s1,NAS-IP-Address=192.0.2.9")
    (entry,) = relay.entries("radius")
    assert (entry.get("radius_code_name"), entry.get("radius_reply_name")) == (
        "Accounting-Request",
        "Accounting-Response",
    )
    assert (entry.get("radius_status_type"), entry.get("radius_nas")) == ("Start", "192.0.2.9")
