"""One entry, over a real port: its bytes, packets, stream, neighbours and renderers agree."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import dpkt

from tests.hub._serving import Hub, entries


def test_bytes_packets_and_stream_agree(hub: Hub, posted: dict[str, Any]) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    request = hub.get(f"{base}/raw?half=request")
    assert request.body.startswith(b"POST ")
    assert len(request.body) == posted["requestSize"]
    stream = hub.json(f"{base}/stream")
    sent = b"".join(b64decode(piece["data"]) for piece in stream["pieces"] if not piece["from_server"])
    assert request.body in sent
    packets = hub.json(f"{base}/packets")
    mine = [packet for packet in packets if packet["of_entry"]]
    carried = b""
    for packet in mine:
        data = hub.get(f"{base}/packets/{packet['number']}").body
        assert len(data) == packet["captured"]
        if not packet["from_server"]:
            carried += data[packet["payload_start"] : packet["payload_end"]]
    assert request.body in carried
    assert hub.get(f"{base}/packets/{len(packets)}").status == 404
    assert hub.json(f"{base}/packets?first=1&limit=2") == packets[1:3]
    assert not hub.json(f"{base}/stream?limit=10")["complete"]


def test_its_connection_is_a_capture(hub: Hub, posted: dict[str, Any], tmp_path: Path) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    answer = hub.get(f"{base}/pcap")
    assert answer.headers["content-type"] == "application/x-pcapng"
    (file := tmp_path / "stream.pcapng").write_bytes(answer.body)
    with file.open("rb") as opened:
        assert len(list(dpkt.pcapng.Reader(opened))) == len(hub.json(f"{base}/packets"))


def test_datagrams_have_packets_too(hub: Hub) -> None:
    entry = entries(hub, 'dns && transport == "udp"')[0]
    packets = hub.json(f"/api/v1/entries/{entry['id']}/packets")
    assert sum(packet["of_entry"] for packet in packets) == 2  # question and answer


def test_neighbours_are_those_of_the_stream(hub: Hub, posted: dict[str, Any]) -> None:
    same = [entry["id"] for entry in entries(hub) if entry["stream"] == posted["stream"]]
    found = hub.json(f"/api/v1/entries/{posted['id']}/neighbours")
    assert found["ids"] == same
    at = same.index(posted["id"])
    assert found["previous"] == (same[at - 1] if at else None)
    assert found["next"] == (same[at + 1] if at + 1 < len(same) else None)


def test_other_renderers_can_be_chosen(hub: Hub, posted: dict[str, Any]) -> None:
    base = f"/api/v1/entries/{posted['id']}"
    offered = hub.json(f"{base}/renderers")
    assert [each["name"] for each in offered] == ["http", "generic"]
    assert [each["chosen"] for each in offered] == [True, False]
    plain = hub.json(f"{base}?renderer=generic")["representation"]
    assert plain != hub.json(base)["representation"]
    assert hub.get(f"{base}?renderer=redis").status == 404
