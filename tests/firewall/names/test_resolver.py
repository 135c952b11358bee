"""Names are asked of real servers on this machine's loopback, inside a namespace: dnsmasq, and some that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from kubeshark.firewall.names._dns import parse_question
from kubeshark.firewall.names._resolver import Found, Server, ask_resolvers, system_resolvers
from tests.firewall._dns_server import DnsServer, dns_server
from tests.firewall._namespaces import Pair, pair
from tests.firewall._privileged import needs_namespaces

SERVER: Server = (ip_address("10.77.0.2"), 53)
NAMES = {
    "one.test": ["192.0.2.1", "2001:db8::1"],
    "exact.test": ["192.0.2.2"],
    "many.test": [f"192.0.2.{last}" for last in range(1, 101)],
}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Pair, DnsServer]]:
    with pair() as namespaces, dns_server(namespaces.far, "10.77.0.2", tmp_path, NAMES) as server:
        yield namespaces, server


@needs_namespaces
def test_a_real_server(servers: tuple[Pair, DnsServer]) -> None:
    namespaces, server = servers
    asked = ("one.test", "alias.test", "none.test", "many.test")
    found = namespaces.within(namespaces.near, lambda: ask_resolvers(asked, [SERVER]))
    assert sorted(map(str, found["one.test"].addresses)) == ["192.0.2.1", "2001:db8::1"]
    assert [str(each) for each in found["alias.test"].addresses] == ["192.0.2.2"]
    assert found["none.test"] == Found()  # there is none, says who must know
    assert len(found["many.test"].addresses) == 100  # by TCP: it does not fit
    assert found["one.test"].ttl_s == 60

    dead: Server = (ip_address("10.77.0.2"), 54)
    again = namespaces.within(namespaces.near, lambda: ask_resolvers(["one.test"], [dead, SERVER], wait_s=0.5))
    assert again["one.test"].problem == "" and len(again["one.test"].addresses) == 2
    server.stop()
    gone = namespaces.within(namespaces.near, lambda: ask_resolvers(["one.test"], [SERVER], wait_s=0.5))
    assert gone["one.test"] == Found(problem="10.77.0.2: Connection refused")


def test_answers_to_other_questions_count_for_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        liar.settimeout(5)

        def lie() -> None:
            for _ in range(2):
                data, client = liar.recvfrom(512)
                question = parse_question(data)
                body = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4abcd"
                head = (question.id ^ 1).to_bytes(2, "big") + b"\x81\x80\0\1\0\1\0\0\0\0"
                liar.sendto(head + data[12:] + body, client)  # another id
                liar.sendto(b"no message", client)

        thread = threading.Thread(target=lie)
        thread.start()
        found = ask_resolvers(["a.test"], [(ip_address("127.0.0.1"), liar.getsockname()[1])], wait_s=0.5)
        thread.join()
    assert found["a.test"] == Found(problem="no answer from 127.0.0.1")


def test_no_resolver_and_no_name_are_told(tmp_path: Path) -> None:
    assert ask_resolvers(["a.test"], [])["a.test"].problem == "no resolver is configured"
    assert system_resolvers(tmp_path / "none") == ()
    (tmp_path / "resolv.conf").write_text(
        "# mine\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver x\nsearch a.test\n"
    )
    assert [str(address) for address, _ in system_resolvers(tmp_path / "resolv.conf")] == ["192.0.2.1", "fe80::1"]
