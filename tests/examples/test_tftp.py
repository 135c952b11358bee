"""The tftp example: its capture gives its expected entries, tshark agrees, and no datagram breaks it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.cli import main
from kubeshark.extension_api import Datagram, Endpoint, MessageKind, Verdict
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.hosts import ForeignPlugin
from kubeshark.hosts.c import _build
from kubeshark.pipeline.plugins._stage import Stage

FIELDS = ["opcode", "file", "mode", "block", "size", "error_code", "error_message", "options", "transfer_size"]
DEFAULTS = ("", 0, {}, [])


class Flow:
    """A UDP flow that a test makes up."""

    transport = "udp"
    sides = ()

    def __init__(self, client: int, server: int, *datagrams: tuple[int, bytes]) -> None:
        self.client, self.server = Endpoint("192.0.2.1", client), Endpoint("192.0.2.2", server)
        self.datagrams = [Datagram(side, 1000 + at, memoryview(data)) for at, (side, data) in enumerate(datagrams)]

    def turns(self) -> list[tuple[int, int, int]]:
        return []


@pytest.fixture(scope="module")
def example(root: Path) -> Path:
    return root / "examples" / "plugins" / "c" / "tftp"


@pytest.fixture(scope="module")
def built(example: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    if not _build.compiler("c"):
        pytest.skip("no C compiler is installed: pip install ziglang")
    folder = tmp_path_factory.mktemp("tftp") / "tftp"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build"))
    manifest = read_manifest(folder)
    _build.build(folder, manifest)
    return folder, manifest


@pytest.fixture(scope="module")
def plugin(built: tuple[Path, Manifest]) -> Iterator[ForeignPlugin]:
    plugin = ForeignPlugin(*built)
    yield plugin
    plugin.close()


def dissect(plugin: ForeignPlugin, *flows: Flow) -> list[list[Any]]:
    (spec,) = plugin.protocols()
    return [list(messages) for messages in plugin.dissect(spec, flows)]  # type: ignore[arg-type]


def probe(plugin: ForeignPlugin, *flows: Flow) -> Sequence[Verdict]:
    (spec,) = plugin.protocols()
    return plugin.probe(spec, flows)  # type: ignore[arg-type]


def test_the_capture_gives_the_expected_entries(
    example: Path,
    built: tuple[Path, Manifest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path))
    with Stage(built[0]) as stage:
        stage.commit()
    capture = example / "tests" / "tftp.pcap"
    fields = ",".join([*(f"tftp_{name}" for name in FIELDS), "error_message"])
    assert main(["dissect", str(capture), "--filter", "tftp", "--output", "jsonl", "--fields", fields]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [{name: value for name, value in line.items() if value not in DEFAULTS} for line in lines]
    expected = [json.loads(line) for line in (example / "tests" / "tftp.expected.jsonl").read_text().splitlines()]
    assert found == expected

    assert main(["dissect", str(capture), "--filter", "!tftp && !conn", "--output", "jsonl"]) == 0
    assert capsys.readouterr().out == ""  # both flows of every transfer are recognised
    assert main(["dissect", str(capture), "--filter", "tftp_big(512)", "--output", "jsonl", "--fields", "id"]) == 0
    big = [line for line in found if max(line.get("tftp_size", 0), line.get("tftp_transfer_size", 0)) > 512]
    assert len(capsys.readouterr().out.splitlines()) == len(big) > 0


def test_a_crash_costs_one_entry_of_a_query(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not _build.compiler("c"):
        pytest.skip("no C compiler is installed: pip install ziglang")
    folder = tmp_path / "tftp"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build"))
    source = folder / "src" / "tftp.c"
    before = "bool complete = read_packet(item, &p);"
    crash = 'if (ks_equal(p.file, ks_literal("missing.txt"))) *(volatile int *)8 = 1;'
    assert before in source.read_text()
    source.write_text(source.read_text().replace(before, before + crash))
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    assert main(["plugin", "build", str(folder)]) == 0
    assert main(["plugin", "install", str(folder), "--allow-unsigned"]) == 0
    capsys.readouterr()
    capture = str(example / "tests" / "tftp.pcap")
    code = main(["dissect", capture, "--filter", "tftp", "--output", "jsonl", "--fields", "tftp_file,error_message"])
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    expected = [json.loads(line) for line in (example / "tests" / "tftp.expected.jsonl").read_text().splitlines()]
    assert code == 3  # partly done
    assert len(lines) == len(expected)
    (broken,) = [line for line in lines if line["error_message"]]
    assert "plugin tftp@1.0.0 was ended by SIGSEGV" in broken["error_message"]
    files = [line["tftp_file"] for line in lines]
    assert files == ["" if (name := line.get("tftp_file", "")) == "missing.txt" else name for line in expected]
    assert "plugin tftp@1.0.0 in dissect: was ended by SIGSEGV" in said.err


def test_tshark_sees_the_same(example: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed: apt-get install tshark")
    command = ["tshark", "-r", str(example / "tests" / "tftp.pcap"), "-Y", "tftp", "-T", "json"]
    packets = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    layers = [packet["_source"]["layers"]["tftp"] for packet in packets]
    opcodes = Counter(int(layer["tftp.opcode"]) for layer in layers)
    expected = [json.loads(line) for line in (example / "tests" / "tftp.expected.jsonl").read_text().splitlines()]
    ours = Counter(line["tftp_opcode"] for line in expected)
    assert [opcodes[number] for number in (1, 2, 3, 5, 6)] == [
        ours[name] for name in ("RRQ", "WRQ", "DATA", "ERROR", "OACK")
    ]
    files = [layer["tftp.source_file"] for layer in layers if "tftp.source_file" in layer and "tftp.type" in layer]
    assert [name for name in files if name] == [line["tftp_file"] for line in expected if line["tftp_opcode"] == "RRQ"]


def test_blocks_pair_with_their_acknowledgements(plugin: ForeignPlugin) -> None:
    flow = Flow(6000, 5000, (0, b"\0\3\0\1" + b"x" * 512), (1, b"\0\4\0\1"), (0, b"\0\3\0\2end"), (1, b"\0\4\0\2"))
    (messages,) = dissect(plugin, flow)
    assert [(message.kind, message.key, message.datagram) for message in messages] == [
        (MessageKind.REQUEST, "0x1", 0),
        (MessageKind.RESPONSE, "0x1", 1),
        (MessageKind.REQUEST, "0x2", 2),
        (MessageKind.RESPONSE, "0x2", 3),
    ]
    assert messages[2].detail is not None
    assert messages[2].detail() == ({}, {"opcode": "DATA", "block": 2, "size": 3})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "not TFTP"),
        (b"\0", "not TFTP"),
        (b"\0\x09ab", "not TFTP"),
        (b"\0\1file", "malformed"),
        (b"\0\1file\0octet", "malformed"),
        (b"\0\1file\0utf-9\0", "malformed"),
        (b"\0\1file\0octet\0blksize\0", "malformed"),
        (b"\0\1file\0octet\0" + b"a\0b\0" * 17, "malformed"),
        (b"\0\3\0", "malformed"),
        (b"\0\4\0\1x", "malformed"),
        (b"\0\5\0\1no end", "malformed"),
        (b"\0\6", "malformed"),
    ],
)
def test_bad_bytes_spoil_one_datagram(plugin: ForeignPlugin, data: bytes, error: str) -> None:
    (messages,) = dissect(plugin, Flow(5000, 69, (0, data), (0, b"\0\1ok\0octet\0")))
    assert messages[0].error.startswith(error)
    assert (messages[1].error, messages[1].fields["tftp_file"]) == ("", "ok")


def test_names_that_are_no_utf8_are_shown_all_the_same(plugin: ForeignPlugin) -> None:
    (messages,) = dissect(plugin, Flow(5000, 69, (0, b'\0\1caf\xe9\0octet\0na\xffme\0"1"\0')))
    assert messages[0].fields["tftp_file"] == "caf\N{REPLACEMENT CHARACTER}"
    assert messages[0].fields["tftp_options"] == {"na\N{REPLACEMENT CHARACTER}me": '"1"'}


def test_the_probe_knows_how_transfers_begin(plugin: ForeignPlugin) -> None:
    begins = [b"\0\3\0\1data", b"\0\4\0\0", b"\0\6blksize\x001024\0", b"\0\5\0\1File not found\0"]
    others = [
        b"\0\3\0\7data",
        b"\0\4\0\7",
        b"\0\6other\x001\0",
        b"\0\5\0\1\xff\xfe\0",
        b"\x12\x34\1\0\0\1",
        b"",
        b"\0\1a\0octet\0",
    ]
    assert set(probe(plugin, *(Flow(6000, 5000, (0, data)) for data in begins))) == {Verdict.MINE}
    assert set(probe(plugin, *(Flow(6000, 5000, (0, data)) for data in others))) == {Verdict.NOT_MINE}
    assert probe(plugin, Flow(6000, 69, (0, b"\0\1a\0octet\0")), Flow(6000, 69, (0, b"hello"))) == [
        Verdict.MINE,
        Verdict.NOT_MINE,
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.binary(max_size=40) | st.binary(max_size=40).map(b"\0\1a\0octet\0".__add__))
    )
)
def test_no_datagram_breaks_it(plugin: ForeignPlugin, datagrams: list[tuple[int, bytes]]) -> None:
    flow = Flow(5000, 69, *datagrams)
    probe(plugin, flow)
    (messages,) = dissect(plugin, flow)
    assert len(messages) == len(datagrams)
    assert plugin.status.crashes == 0
    assert plugin.take_problems() == []
