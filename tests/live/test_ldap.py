"""A real slapd, asked by ldap-utils."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kubeshark.pipeline import Entry
from tests.pipeline.tls._exchange import certificate_file

from ._relay import Relay
from ._servers import free_port, need, running

PASSWORD = "quite-secret"
ADMIN = "cn=admin,dc=example"
CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
database mdb
maxsize 10485760
suffix "dc=example"
rootdn "{admin}"
rootpw {password}
directory {folder}
"""
TREE = """
dn: dc=example
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: uid=ada,dc=example
objectClass: inetOrgPerson
uid: ada
cn: Ada
sn: Lovelace
userPassword: engine

dn: uid=bob,dc=example
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Byron
jpegPhoto:: /9j/4A==
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    slapd, port = need("slapd"), free_port()
    need("ldapsearch", "ldap-utils")
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"folder": folder, "admin": ADMIN, "password": PASSWORD, "certificate": certificate_file(folder)}
        (folder / "slapd.conf").write_text(CONFIGURATION.format(**settings))
        url = f"ldap://127.0.0.1:{port}/"
        with running([slapd, "-d", "0", "-h", url, "-f", folder / "slapd.conf"], port):
            yield port


def ask(
    relay: Relay, tool: str, *arguments: str, stdin: str = "", bind: bool = True
) -> subprocess.CompletedProcess[str]:
    who = ["-D", ADMIN, "-w", PASSWORD] if bind else []
    return subprocess.run(
        [need(tool, "ldap-utils"), "-x", "-H", f"ldap://127.0.0.1:{relay.port}", *who, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=10,
        env={"LDAPTLS_REQCERT": "never"},
    )


def kinds(entries: list[Entry]) -> list[tuple[str, int]]:
    return [(entry.get("ldap_type"), entry.get("ldap_result")) for entry in entries]


def test_directory(server: int) -> None:
    with Relay(server, shown_port=389) as relay:
        ask(relay, "ldapadd", stdin=TREE)
        found = ask(
            relay, "ldapsearch", "-b", "dc=example", "-E", "pr=1/noprompt", "(&(objectClass=inetOrgPerson)(sn=*))"
        )
        ask(
            relay,
            "ldapmodify",
            stdin="dn: uid=ada,dc=example\nchangetype: modify\nreplace: userPassword\nuserPassword: new\n",
        )
        ask(relay, "ldapcompare", "uid=ada,dc=example", "sn:Lovelace")
        ask(relay, "ldapmodrdn", "uid=bob,dc=example", "uid=robert")
        ask(relay, "ldappasswd", "-s", "newer", "uid=ada,dc=example")
        ask(relay, "ldapwhoami")
        ask(relay, "ldapdelete", "uid=robert,dc=example")
        ask(relay, "ldapsearch", "-b", "dc=nowhere", bind=False)
    assert "jpegPhoto" in found.stdout
    entries = relay.entries("ldap")
    assert [entry.error for entry in entries] == [None] * len(entries)
    work = [kind for kind in kinds(entries) if kind[0] not in ("bind", "unbind")]
    adds, searches = [("add", 0)] * 3, [("search", 0)] * 2
    rest = [
        ("modify", 0),
        ("compare", 6),
        ("modifyDN", 0),
        ("extended", 0),
        ("extended", 0),
        ("delete", 0),
        ("search", 32),
    ]
    assert work == [*adds, *searches, *rest]
    assert kinds(entries).count(("bind", 0)) == 9
    paged = next(entry for entry in entries if entry.get("ldap_type") == "search")
    assert paged.get("ldap_filter") == "(&(objectClass=inetOrgPerson)(sn=*))"
    document = paged.to_dict()
    assert document["request"]["controls"][0]["name"] == "Paged results"
    (ada,) = document["response"]["entries"]
    assert (ada["dn"], ada["attributes"]["sn"]) == ("uid=ada,dc=example", ["Lovelace"])
    everything = str([entry.to_dict() for entry in entries])
    assert not [secret for secret in (PASSWORD, "engine", "newer", "'new'") if secret in everything]


def test_start_tls(server: int) -> None:
    with Relay(server, shown_port=389) as relay:
        asked = ask(relay, "ldapwhoami", "-ZZ")
    assert asked.stdout == f"dn:{ADMIN}\n", asked.stderr
    entries = relay.entries()
    assert [entry.get("ldap_type") for entry in entries if entry.get("ldap")] == ["extended"]
    assert any(entry.get("tlsx") for entry in entries)
    assert PASSWORD.encode() not in relay.pcap


def test_refused_bind(server: int) -> None:
    with Relay(server, shown_port=389) as relay:
        ask(relay, "ldapwhoami", "-D", ADMIN, "-w", "wrong", bind=False)
    (bind, *_) = relay.entries("ldap")
    assert (bind.get("ldap_result"), bind.get("ldap_result_name")) == (49, "invalidCredentials")
