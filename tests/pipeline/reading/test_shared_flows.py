"""Flows that several protocols share: each message is an entry of its own protocol, in order of capture."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from kubeshark.pipeline import Entry, FileDissection, Plugins
from tests.core_capture.reference._packets import RAW, ip, record, udp
from tests.pipeline.dissectors.access.test_diameter import CCA, CCR, chunk
from tests.pipeline.dissectors.network.test_stun import REQUEST, RESPONSE

PCAP_HEADER = pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, RAW)
CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
SCTP = 132
ALERT = b"\x15\xfe\xfd\0\0\0\0\0\0\0\0\0\2\2\x28"


def entries(folder: Path, kfl: str, *packets: bytes) -> list[Entry]:
    path = folder / "shared.pcap"
    path.write_bytes(PCAP_HEADER + b"".join(record(packet, at * 1_000) for at, packet in enumerate(packets, 1)))
    with FileDissection([str(path)], kfl, plugins=Plugins()) as dissection:
        return list(dissection)


def sctp(chunks: bytes, ports: tuple[int, int], ends: tuple[str, str]) -> bytes:
    return ip(pack(">HHII", *ports, 1, 0) + chunks, SCTP, *ends)


@pytest.fixture
def diameter_over_sctp() -> tuple[bytes, ...]:
    asks, answers = ((40000, 3868), (CLIENT, SERVER)), ((3868, 40000), (SERVER, CLIENT))
    return (
        sctp(chunk(1, CCR[:40], flags=2), *asks),
        sctp(chunk(2, CCR[40:], flags=1), *asks),
        sctp(chunk(1, CCA), *answers),
    )


def test_diameter_and_sctp(tmp_path: Path, diameter_over_sctp: tuple[bytes, ...]) -> None:
    found = entries(tmp_path, "diameter || sctp", *diameter_over_sctp)
    assert sorted(entry.get("protocol") for entry in found) == ["DIAMETER", "SCTP", "SCTP", "SCTP"]
    (diameter,) = (entry for entry in found if entry.get("diameter"))
    assert (diameter.get("diameter_method"), diameter.get("diameter_result_code")) == ("Credit-Control", 2001)
    assert diameter.error is None
    assert diameter.to_dict()["response"]["resultCode"] == 2001
    chunks = [entry for entry in found if entry.get("sctp")]
    assert {entry.get("sctp_chunk_type") for entry in chunks} == {"DATA"}
    assert all(entry.to_dict()["data"]["chunkType"] == "DATA" for entry in chunks)


@pytest.mark.parametrize("kfl", ["diameter", "sctp"])
def test_each_is_found_alone(tmp_path: Path, kfl: str, diameter_over_sctp: tuple[bytes, ...]) -> None:
    assert {entry.get("protocol") for entry in entries(tmp_path, kfl, *diameter_over_sctp)} == {kfl.upper()}


def test_stun_dtls_and_media(tmp_path: Path) -> None:
    asks, answers = ((40000, 40001), (CLIENT, SERVER)), ((40001, 40000), (SERVER, CLIENT))
    packets = (udp(REQUEST, *asks), udp(RESPONSE, *answers), udp(ALERT, *asks), udp(b"\x80media", *asks))
    found = entries(tmp_path, "", *packets)
    assert [entry.get("protocol") for entry in found if not entry.get("conn")] == ["STUN", "TLS", "UDP"]
    for kfl in ("stun", "tlsx", "udp"):
        assert len(entries(tmp_path, kfl, *packets)) == 1
