"""Answers on a real device: those that count, and those that somebody would like to."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from kubeshark.firewall.names._dns import Question, write_question
from kubeshark.firewall.names._dns_watch import DnsWatch, Seen, Side
from tests.firewall._namespaces import Pair, pair
from tests.firewall._privileged import needs_namespaces

pytestmark = needs_namespaces

SUBJECT = {"eth0": Side("subject", is_pod=False)}
POD = {"eth0": Side("pod", is_pod=True)}
RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4abcd"


def answered(query: bytes, number: int | None = None) -> bytes:
    head = query[:2] if number is None else number.to_bytes(2, "big")
    return head + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + RECORD


class Wire:
    """The watch is in `near`. Datagrams between port 53 of one side and port 5353 of the other."""

    def __init__(self, namespaces: Pair, family: int) -> None:
        self.watch = namespaces.within(namespaces.near, DnsWatch)
        v6 = family == socket.AF_INET6
        self.near, self.far = ("fd77::1", "fd77::2") if v6 else ("10.77.0.1", "10.77.0.2")
        self.sockets = {}
        for name, address in ((namespaces.near, self.near), (namespaces.far, self.far)):
            for port in (53, 5353):
                made = namespaces.open(name, family, socket.SOCK_DGRAM)
                made.bind((address, port))
                self.sockets[address, port] = made

    def send(self, source: tuple[str, int], target: tuple[str, int], data: bytes) -> None:
        self.sockets[source].sendto(data, target)
        self.sockets[target].recv(2048)

    def seen(self, sides: dict[str, Side], *resolvers: str) -> list[Seen]:
        found: list[Seen] = []
        while select.select([self.watch], [], [], 0.1)[0]:
            found += self.watch.read(sides, {ip_address(each) for each in resolvers})
        return found

    def close(self) -> None:
        self.watch.close()
        for made in self.sockets.values():
            made.close()


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with pair() as namespaces:
        made = Wire(namespaces, request.param)
        yield made
        made.close()


def test_what_counts(wire: Wire) -> None:
    near, far = (wire.near, 5353), (wire.far, 53)
    query = write_question(Question(7, "a.test", 1))
    wire.send(near, far, query)
    wire.send(far, near, answered(query))
    [seen] = wire.seen(SUBJECT, wire.far)
    assert seen.target == "subject" and [str(each) for each in seen.answer.addresses] == ["97.98.99.100"]
    wire.send(far, near, answered(query))  # once more: nobody waits for it
    assert wire.seen(SUBJECT, wire.far) == []

    # a pod is on the other side of its device
    pod, resolver = (wire.far, 5353), (wire.near, 53)
    wire.send(pod, resolver, query)
    wire.send(resolver, pod, answered(query))
    assert [each.target for each in wire.seen(POD, wire.near)] == ["pod"]


def test_what_does_not(wire: Wire) -> None:
    near, far = (wire.near, 5353), (wire.far, 53)
    query = write_question(Question(7, "a.test", 1))
    wire.send(far, near, answered(query))  # nobody asked
    assert wire.seen(SUBJECT, wire.far) == []
    for wrong in (
        answered(query, 8),
        answered(write_question(Question(7, "b.test", 1))),
        answered(write_question(Question(7, "a.test", 28))),
        answered(query)[:-1],
        b"",
    ):
        wire.send(near, far, query)
        wire.send(far, near, wrong)
        assert wire.seen(SUBJECT, wire.far) == []
    wire.send(near, far, query)
    wire.send(far, near, answered(query))
    assert wire.seen(SUBJECT, "192.0.2.9") == []  # no resolver of ours
    wire.send(near, far, query)
    wire.send(far, near, answered(query))
    assert wire.seen({"eth1": Side("other", is_pod=False)}, wire.far) == []
    wire.send(far, near, query)  # asked by the other side, and answered to itself by the subject
    wire.send(near, far, answered(query))
    assert wire.seen(SUBJECT, wire.far) == []
