"""What was written reads back the same, here and in other programs."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.files import write_pcap

U32 = st.integers(0, 0xFFFF_FFFF)
RECORDS = st.lists(
    st.builds(
        lambda seconds, ns, original, data: struct.pack("<IIII", seconds, ns, len(data), original) + data,
        U32,
        st.integers(0, 999_999_999),
        U32,
        st.binary(max_size=80),
    ),
    max_size=20,
)


@given(records=RECORDS, link_type=st.integers(0, 0xFFFF))
def test_written_reads_back(read, records, link_type) -> None:
    out = io.BytesIO()
    write_pcap(out, link_type, records)
    assert [packet.record for packet in read(out.getvalue()).packets] == records
    joined = io.BytesIO()
    write_pcap(joined, link_type, [b"".join(records)])
    assert joined.getvalue() == out.getvalue()


@given(records=RECORDS)
def test_microseconds_lose_only_what_is_finer(read, records) -> None:
    exact, coarse = io.BytesIO(), io.BytesIO()
    write_pcap(exact, 1, records)
    write_pcap(coarse, 1, [b"".join(records)], nanoseconds=False)
    expected = [(link, time_ns // 1000 * 1000, *rest) for link, time_ns, *rest in read(exact.getvalue()).rows]
    assert read(coarse.getvalue()).rows == expected


@pytest.mark.parametrize("nanoseconds", [True, False])
def test_capinfos_and_tcpdump_agree(tmp_path, nanoseconds) -> None:
    path = tmp_path / "out.pcap"
    records = [struct.pack("<IIII", 1_700_000_000 + number, 123_456_789, 60, 60) + bytes(60) for number in range(7)]
    with path.open("wb") as out:
        write_pcap(out, 1, records, nanoseconds=nanoseconds)
    for program, package in (("capinfos", "tshark"), ("tcpdump", "tcpdump")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {package}")
    infos = subprocess.run(["capinfos", "-TMcuaer", str(path)], capture_output=True, text=True, check=True)
    assert infos.stdout.split("\t")[1] == "7"
    command = ["tcpdump", "-r", str(path), "-tt", "-n", "--time-stamp-precision=nano"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[6].startswith("1700000006.123456789" if nanoseconds else "1700000006.123456000")
