"""New plugins: the right files, checked manifests, and a capture that other tools would accept."""

from __future__ import annotations

import io
import json
import struct
import tomllib

import dpkt
import pytest

from kubeshark.errors import UsageError
from kubeshark.extension_api._manifest import parse_manifest
from kubeshark.extension_api._scaffold import LANGUAGES, scaffold, tcp_capture


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_what_it_needs(language: str) -> None:
    made = scaffold("my-fruit", language)
    manifest = parse_manifest(made["plugin.toml"])
    assert (manifest.id, manifest.language) == ("my-fruit", "js" if language == "ts" else language)
    assert manifest.protocol is not None
    assert manifest.protocol.name == "my_fruit"
    assert manifest.entry in made or manifest.entry.startswith("build/")
    assert {"README.md", "tests/my_fruit.pcap", "tests/my_fruit.expected.jsonl"} <= made.keys()
    for name, data in made.items():
        assert b"{{" not in data.replace(b'f"{{', b""), name
    assert len(made["tests/my_fruit.expected.jsonl"].splitlines()) == 5
    assert all(json.loads(line) for line in made["tests/my_fruit.expected.jsonl"].splitlines())
    if language == "python":
        project = tomllib.loads(made["pyproject.toml"].decode())
        assert project["project"]["entry-points"]["kubeshark.plugins"] == {"my-fruit": "my_fruit"}


@pytest.mark.parametrize("name", ["", "Fruit", "../fruit", "1fruit", "a" * 26, "fruit\n"])
def test_a_name_that_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not an id"):
        scaffold(name, "js")


@pytest.mark.parametrize(
    ("name", "language", "why"),
    [
        ("http", "c", "begins with a word of KFL's own variables"),
        ("tcp-x", "js", "begins with a word of KFL's own variables"),
        ("json", "go", "is a reserved word of KFL"),
        ("json", "python", "is a module or a word of Python's own"),
        ("class", "python", "is a module or a word of Python's own"),
    ],
)
def test_a_name_that_would_be_refused_later_is_refused_now(name: str, language: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        scaffold(name, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_name(language: str) -> None:
    assert scaffold("a" * 25, language)


def test_the_capture_is_a_connection_with_right_checksums() -> None:
    data = tcp_capture([(0, b"odd"), (1, b"even")], server_port=7700)
    packets = [packet for _, packet in dpkt.pcap.Reader(io.BytesIO(data))]
    assert len(packets) == 6
    for packet in packets:
        ip = dpkt.ip.IP(packet)
        assert checksum(packet[:20]) == 0
        pseudo = ip.src + ip.dst + struct.pack(">BBH", 0, 6, len(packet) - 20)
        assert checksum(pseudo + packet[20:]) == 0
    texts = [(dpkt.ip.IP(packet).data.sport, bytes(dpkt.ip.IP(packet).data.data)) for packet in packets]
    assert [text for text in texts if text[1]] == [(40_000, b"odd"), (7700, b"even")]


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
