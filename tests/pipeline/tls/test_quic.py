"""QUIC decrypted with key logs, compared with what two aioquic ends said."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark import Pipeline
from kubeshark.extension_api import MessageKind
from kubeshark.pipeline import Entry, FileDissection, Plugins

from ._quic_exchange import QuicExchange, quic_exchange


def call(method: str, path: str, body: bytes, answer: bytes) -> tuple[dict[str, str], bytes, bytes]:
    fields = {":method": method, ":scheme": "https", ":authority": "shop.example", ":path": path, "user-agent": "test"}
    return fields, body, answer


CALLS = [
    call("GET", "/items?page=1", b"", b"small"),
    call("POST", "/cart", b"item=17" * 400, b"x" * 50_000),
    call("GET", "/items?page=2", b"", b""),
    call("GET", "/last", b"", b"and last"),
]
EXPECTED = [(fields[":method"], fields[":path"], 200, len(body), len(answer)) for fields, body, answer in CALLS]


def entries(folder: Path, found: QuicExchange, kfl: str = "http", keys: str | None = None) -> list[Entry]:
    (folder / "quic.pcap").write_bytes(found.pcap())
    (folder / "keys.log").write_text(found.keys if keys is None else keys)
    with FileDissection(
        [str(folder / "quic.pcap")], kfl, plugins=Plugins(), keylogs=[folder / "keys.log"]
    ) as dissection:
        result = list(dissection)
        assert dissection.problems == []
        return result


def told(found: list[Entry]) -> list[tuple[object, ...]]:
    names = ("method", "url", "status_code", "request_body_size", "response_body_size")
    return [tuple(entry.get(name) for name in names) for entry in found]


@pytest.mark.parametrize("update_keys", [False, True], ids=["", "key updates"])
@pytest.mark.parametrize("suite", ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
def test_http3(tmp_path: Path, suite: str, update_keys: bool) -> None:
    found = entries(tmp_path, quic_exchange(CALLS, suite=suite, update_keys=update_keys))
    assert told(found) == EXPECTED
    assert [entry.error for entry in found] == [None] * len(CALLS)
    names = ("tls", "http3", "http_version", "capture_source", "host", "protocol", "content_type")
    assert [found[0].get(name) for name in names] == [
        True,
        True,
        "HTTP/3",
        "keylog",
        "shop.example",
        "HTTP",
        "text/plain",
    ]


def test_documents(tmp_path: Path) -> None:
    found = entries(tmp_path, quic_exchange(CALLS))
    request, response = found[1].to_dict()["request"], found[1].to_dict()["response"]
    assert (request["method"], request["headers"]["user-agent"]) == ("POST", "test")
    assert request["postData"]["text"] == "item=17" * 400
    assert (response["status"], response["headers"]["x-n"]) == (200, "1")
    assert response["content"]["text"] == "x" * 50_000
    assert found[1].raw(MessageKind.REQUEST)
    assert found[0].start_ns < found[1].start_ns < found[2].start_ns
    assert found[0].elapsed_ns > 0


def test_version_2(tmp_path: Path) -> None:
    assert told(entries(tmp_path, quic_exchange(CALLS, versions=(0x6B33_43CF, 1)))) == EXPECTED


def test_handshake_has_its_own_entry(tmp_path: Path) -> None:
    found = quic_exchange(CALLS)
    (alone,) = entries(tmp_path, found, "quic", keys="")
    (with_keys,) = entries(tmp_path, found, "quic")
    assert (alone.id, alone.get("quic_sni"), alone.get("tls")) == (with_keys.id, "shop.example", False)
    assert entries(tmp_path, found, "http", keys="") == []


def test_lost_datagram_is_a_gap_in_one_stream(tmp_path: Path) -> None:
    found = quic_exchange(CALLS)
    large = [at for at, (way, data) in enumerate(found.datagrams) if way == 1 and len(data) > 1_000]
    del found.datagrams[large[-3]]  # in the midst of the long answer
    shown = entries(tmp_path, found)
    assert [(entry.get("url"), entry.error is None) for entry in shown] == [
        ("/items?page=1", True),
        ("/cart", False),
        ("/items?page=2", True),
        ("/last", True),
    ]
    assert "were not captured" in shown[1].get("error_message")


EXCHANGE = quic_exchange(CALLS[:2])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    sent = [(way, bytearray(datagram)) for way, datagram in EXCHANGE.datagrams]
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(sent) - 1))
        body = sent[at][1]
        if data.draw(st.booleans()) and body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        else:
            del body[data.draw(st.integers(0, len(body))) :]
    with TemporaryDirectory() as folder:
        found = entries(Path(folder), QuicExchange([(way, bytes(body)) for way, body in sent], EXCHANGE.keys), "")
        for entry in found:
            entry.to_dict()


def test_damaged_packets(tmp_path: Path) -> None:
    found = quic_exchange(CALLS)
    for at in range(8, len(found.datagrams)):
        way, data = found.datagrams[at]
        damaged = bytearray(data)
        damaged[-1] ^= 1
        one = QuicExchange([*found.datagrams[:at], (way, bytes(damaged)), *found.datagrams[at + 1 :]], found.keys)
        if at % 7 == 0:
            entries(tmp_path, one)


def test_store(tmp_path: Path) -> None:
    found = quic_exchange(CALLS)
    (tmp_path / "quic.pcap").write_bytes(found.pcap())
    (tmp_path / "keys.log").write_text(found.keys)
    with Pipeline.open(tmp_path / "store", plugins=Plugins()) as store:
        store.import_file(tmp_path / "quic.pcap")
        query = store.query("http")
        assert list(query) == []
        assert "pushed down   transport tcp" in query.explain()  # without keys nothing in datagrams can be HTTP
        store.import_file(tmp_path / "quic.pcap", keylogs=[tmp_path / "keys.log"])
        assert told(list(store.query("http"))) == EXPECTED
        (last,) = store.query('http3 && path == "/last"')
        again = store.entry(last.id)
        assert again
        assert again.to_dict() == last.to_dict()
        assert again.raw(MessageKind.REQUEST) == last.raw(MessageKind.REQUEST)
