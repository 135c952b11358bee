"""Clear text as packets: what our own decoder and reassembly, and tshark, make of them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kubeshark.core_capture import load_core
from kubeshark.core_capture._records import LINKTYPE_IPV4, LINKTYPE_IPV6
from kubeshark.core_capture.ebpf._tls_events import READ, WRITE, Ends
from kubeshark.core_capture.ebpf._tls_packets import MARK, Conversation, marked_flows
from kubeshark.pipeline import Pipeline, Plugins

SERVER = Ends(("10.0.0.2", 443), ("10.0.0.1", 40_000), is_server=True)
SERVER6 = Ends(("fd00::2", 443), ("fd00::1", 40_000), is_server=True)
CLIENT = Ends(("10.0.0.1", 40_000), ("10.0.0.2", 443), is_server=False)


def whole(ends: Ends) -> tuple[Conversation, list[bytes]]:
    """A request, an answer in two pieces, the end."""
    conversation = Conversation(ends)
    asks, answers = (READ, WRITE) if ends.is_server else (WRITE, READ)
    records = conversation.data(asks, 0, b"ask", 1_000)
    records += conversation.data(answers, 0, b"ans", 2_000) + conversation.data(answers, 3, b"wer", 3_000)
    return conversation, records + conversation.end(4_000)


def sides(records: list[bytes], link_type: int) -> list[bytes]:
    """Return what the client and the server said, as reassembly puts it together."""
    core = load_core()
    decoded = core.decode(b"".join(records), link_type)
    assert len(decoded.flows) == 1
    (streams,) = list(core.assemble(decoded, [0]))
    assert streams.directions is not None
    said = [bytes(side.data) for side in streams.directions]
    return said if decoded.flows["client"][0] == 0 else said[::-1]


@pytest.mark.parametrize("ends", [SERVER, CLIENT, SERVER6])
def test_both_directions_are_whole(ends: Ends) -> None:
    conversation, records = whole(ends)
    assert len(records) == 3 + 3 + 2
    assert sides(records, conversation.link_type) == [b"ask", b"answer"]


def test_the_client_is_who_opened_it() -> None:
    for ends in (SERVER, CLIENT):
        conversation, records = whole(ends)
        flow = load_core().decode(b"".join(records), conversation.link_type).flows[0]
        client = (flow["port_a"], flow["port_b"])[int(flow["client"])]
        assert int(client) == 40_000


def test_what_was_lost_is_a_gap() -> None:
    conversation = Conversation(SERVER)
    records = conversation.data(READ, 0, b"abc", 1) + conversation.data(READ, 10, b"xyz", 2)
    core = load_core()
    decoded = core.decode(b"".join(records), LINKTYPE_IPV4)
    (streams,) = list(core.assemble(decoded, [0]))
    assert streams.directions is not None
    gaps = [gap.missing for side in streams.directions for gap in side.gaps]
    assert gaps == [7]


def test_a_connection_that_is_first_seen_later_has_no_handshake() -> None:
    conversation = Conversation(SERVER)
    assert len(conversation.data(READ, 500, b"abc", 1)) == 1


def test_times_and_lengths() -> None:
    conversation = Conversation(SERVER6)
    record = conversation.data(WRITE, 0, b"abc", 1_700_000_000_123_456_789)[-1]
    assert struct.unpack_from("<IIII", record) == (1_700_000_000, 123_456_789, 67, 67)
    assert conversation.link_type == LINKTYPE_IPV6


def test_marked_packets_alone_are_clear_text_of_probes(tmp_path: Path) -> None:
    """A file of somebody else may have the link type."""
    request = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    ours, theirs = Conversation(SERVER).data(READ, 0, request, 1), Conversation(CLIENT).data(WRITE, 0, request, 1)
    bare = [record.replace(MARK, b"\x01\x01\x01\x00") for record in theirs]
    core = load_core()
    for records, is_marked in ((ours, True), (bare, False)):
        decoded = core.decode(b"".join(records), LINKTYPE_IPV4)
        assert marked_flows(decoded, np.arange(len(decoded.flows))).tolist() == [is_marked]
        header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, LINKTYPE_IPV4)
        (tmp_path / "a.pcap").write_bytes(header + b"".join(records))
        with Pipeline.open(tmp_path / f"store-{is_marked}", plugins=Plugins()) as pipeline:
            pipeline.import_file(tmp_path / "a.pcap")
            entries = [entry.to_dict() for entry in pipeline.query("http || conn")]
            columns = [row["tls"] for row in pipeline.rows("", fields=["tls"])]
        assert {entry["tls"] for entry in entries} == {is_marked}
        assert set(columns) == {is_marked}
        assert {entry["captureSource"] for entry in entries} == ({3} if is_marked else {100})


def test_nothing_ends_that_never_began() -> None:
    assert Conversation(SERVER).end(1) == []


@pytest.mark.parametrize("ends", [SERVER, SERVER6])
def test_tshark_finds_no_fault(ends: Ends, tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("needs tshark: apt-get install tshark")
    conversation, records = whole(ends)
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, conversation.link_type)
    (tmp_path / "a.pcap").write_bytes(header + b"".join(records))
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    said = subprocess.run(
        [tshark, "-n", "-r", str(tmp_path / "a.pcap"), *checks, "-Y", "_ws.expert"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    notes = [line for line in said.splitlines() if "[SYN" not in line and "[FIN" not in line]  # those are noted always
    assert notes == []
    bad = [tshark, "-n", "-r", str(tmp_path / "a.pcap"), *checks, "-Y", "tcp.checksum.status==0||ip.checksum.status==0"]
    assert subprocess.run(bad, capture_output=True, text=True, check=True).stdout == ""
