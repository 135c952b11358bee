"""What SOCKS and the PROXY protocol look like in a list."""

from __future__ import annotations

import pytest

from kubeshark.extension_api import Message, MessageKind, Value
from kubeshark.pipeline.dissectors.relays.proxy import PROXY
from kubeshark.pipeline.dissectors.relays.socks import SOCKS
from kubeshark.pipeline.renderers import relays

from ._entries import FakeEntry


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        (
            {"socks_type": "request", "socks_command": "CONNECT", "socks_host": "example.com", "socks_port": 80},
            {"socks_status": 5, "socks_status_text": "connection refused"},
            ("CONNECT", "example.com:80", 5),
        ),
        ({"socks_type": "greeting"}, {"socks_method": "username"}, ("greeting", "username", 0)),
        ({"socks_type": "authentication", "socks_username": "me"}, {}, ("authentication", "me", 0)),
        ({"socks_type": "greeting", "socks_version": "5"}, {}, ("greeting", "5", 0)),
    ],
)
def test_socks(asked: dict[str, Value], answered: dict[str, Value], shown: tuple[str, str, int]) -> None:
    parts = (
        Message(MessageKind.REQUEST, 0, 0, 9, fields=asked),
        Message(MessageKind.RESPONSE, 1, 0, 9, fields=answered),
    )
    entry = FakeEntry(SOCKS, parts)
    row = relays.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == shown
    queries = [row[query] for query in ("methodQuery", "summaryQuery", "statusQuery") if row[query]]
    assert all(map(entry.is_selected_by, queries))
    assert bool(row["statusQuery"]) == ("socks_status_text" in answered)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (
            {
                "proxy_command": "PROXY",
                "proxy_src_ip": "198.51.100.7",
                "proxy_src_port": 56324,
                "proxy_dst_ip": "192.0.2.2",
                "proxy_dst_port": 443,
            },
            "198.51.100.7:56324 → 192.0.2.2:443",
        ),
        ({"proxy_command": "LOCAL", "proxy_family": "UNSPEC"}, "UNSPEC"),
    ],
)
def test_proxy(fields: dict[str, Value], shown: str) -> None:
    entry = FakeEntry(PROXY, (Message(MessageKind.EVENT, 0, 0, 9, fields=fields),))
    row = relays.summarize(entry)
    assert row
    assert (row["method"], row["summary"]) == (fields["proxy_command"], shown)
    assert all(map(entry.is_selected_by, filter(None, (row["methodQuery"], row["summaryQuery"]))))
