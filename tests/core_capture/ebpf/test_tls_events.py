"""Events of the probes, and whom a socket connects."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.ebpf._tls_events import EVENT, READ, WRITE, Ends, ends_of, parse_event


def test_an_event() -> None:
    event = parse_event(EVENT.pack(5, 0xABC, 70, 11, 12, -1, 3, WRITE, 0) + b"abc" + bytes(5))
    assert event is not None
    assert (event.time_ns, event.ssl, event.at, event.process, event.thread) == (5, 0xABC, 70, 11, 12)
    assert (event.descriptor, event.kind, event.data) == (-1, WRITE, b"abc")


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    event = parse_event(data)
    assert event is None or len(event.data) <= len(data) - EVENT.size


def test_lying_lengths_and_kinds() -> None:
    assert parse_event(EVENT.pack(0, 0, 0, 0, 0, 0, 4, READ, 0) + b"abc") is None
    assert parse_event(EVENT.pack(0, 0, 0, 0, 0, 0, 0, 9, 0)) is None


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_ends_of_both_sides(host: str, family: socket.AddressFamily) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)) as client, listener.accept()[0] as server:
            here = client.getsockname()[1]
            assert ends_of(os.getpid(), server.fileno()) == Ends((host, port), (host, here), is_server=True)
            assert ends_of(os.getpid(), client.fileno()) == Ends((host, here), (host, port), is_server=False)


def test_ipv4_on_a_socket_of_ipv6() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            here = client.getsockname()[1]
            expected = Ends(("127.0.0.1", port), ("127.0.0.1", here), is_server=True)
            assert ends_of(os.getpid(), server.fileno()) == expected


def test_what_is_no_tcp_socket_has_no_ends() -> None:
    with socket.socket(socket.AF_UNIX) as other, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert ends_of(os.getpid(), other.fileno()) is None
        assert ends_of(os.getpid(), datagrams.fileno()) is None
        assert ends_of(os.getpid(), 100_000) is None
        assert ends_of(1 << 22, 3) is None
