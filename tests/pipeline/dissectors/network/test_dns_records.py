"""Record data as text, type by type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.network._dns_message import DnsMessage, Record
from kubeshark.pipeline.dissectors.network._dns_records import RDATA, TYPES, class_name, record_text, type_name

NUMBERS = {name: number for number, name in TYPES.items()}
NAME = b"\x02ns\x04test\0"


def shown(kind: str, data: bytes, ttl: int = 0, rclass: int = 1) -> str:
    record = Record("x", NUMBERS[kind], rclass, ttl, 0, len(data))
    return record_text(DnsMessage(data), record)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("A", "c0000201", "192.0.2.1"),
        ("AAAA", "20010db8000000000000000000000001", "2001:db8::1"),
        ("NS", NAME.hex(), "ns.test"),
        ("CNAME", "00", "."),
        ("PTR", NAME.hex(), "ns.test"),
        ("MX", "000a" + NAME.hex(), "10 ns.test"),
        ("SOA", NAME.hex() * 2 + "00000007" + "00000e10" + "00000258" + "00015180" + "0000001e",
         "ns.test ns.test 7 3600 600 86400 30"),
        ("TXT", b"\x06v=spf1\x05 -all".hex(), "v=spf1 -all"),
        ("TXT", b"\x02\xff\xfe".hex(), "ÿþ"),
        ("SRV", "000100020050" + NAME.hex(), "1 2 80 ns.test"),
        ("HINFO", b"\x03x86\x05Linux".hex(), '"x86" "Linux"'),
        ("NAPTR", "000a0064" + b"\x01u\x07E2U+sip\x03!a!".hex() + "00", '10 100 "u" "E2U+sip" "!a!" .'),
        ("CAA", "00" + b"\x05issueca.test".hex(), '0 issue "ca.test"'),
        ("DS", "ec45050155aa", "60485 5 1 55aa"),
        ("DNSKEY", "01010305" + b"key".hex(), "257 3 5 a2V5"),
        ("RRSIG", "00010502000151804000000030000000ec45" + NAME.hex() + "01ff",
         "A 5 2 86400 20040110133704 19950709161248 60485 ns.test Af8="),
        ("NSEC", NAME.hex() + "0006400100000003", "ns.test A MX RRSIG NSEC"),
        ("NSEC3", "0101000a02abcd02f00f0006400000000002", "1 1 10 abcd u07g A RRSIG"),
        ("NSEC3PARAM", "0100000a00", "1 0 10 -"),
        ("TLSA", "030101beef", "3 1 1 beef"),
        ("SSHFP", "0101beef", "1 1 beef"),
        ("URI", "000a0001" + b"https://a.test/".hex(), '10 1 "https://a.test/"'),
        ("EUI48", "00005ef0102a", "00-00-5e-f0-10-2a"),
        ("LOC", "0012161380000000800000000098968000"[:32], "0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m"),
        ("LOC", "00121613" + "8b0d2c8c" + "7ff8fc4c" + "00989a68",
         "51 30 12.748 N 0 7 39.700 W 10.00m 1.00m 10000.00m 10.00m"),
        ("HTTPS", "0001" + "00" + "0001000302" + b"h2".hex() + "000300020050" + "00040004c0000201",
         "1 . alpn=h2 port=80 ipv4hint=192.0.2.1"),
        ("SVCB", "0001" + NAME.hex() + "0000000400010003" + "00020000" + "00060010"
         + "20010db8" + "00" * 11 + "01" + "fde8000161",
         "1 ns.test mandatory=alpn,port no-default-alpn ipv6hint=2001:db8::1 key65000=a"),
        ("NULL", "beef", "\\# 2 beef"),
        ("A", "", ""),
    ],
)  # fmt: skip
def test_presentation_form(kind: str, data: str, text: str) -> None:
    assert shown(kind, bytes.fromhex(data)) == text


def test_edns() -> None:
    options = bytes.fromhex("000a0008" + "0011223344556677" + "00080007" + "0001180 0c00002".replace(" ", ""))
    assert shown("OPT", options, ttl=0x8000, rclass=1232) == (
        "version=0 udp=1232 do cookie=0011223344556677 client-subnet=00011800c00002"
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("A", "c00002"),
        ("A", "c000020100"),
        ("MX", "00"),
        ("NS", "05ab"),
        ("LOC", "01" * 16),
        ("TXT", "05ab"),
        ("SRV", "00" * 5),
    ],
)
def test_data_that_contradicts_its_type_is_shown_as_bytes(kind: str, data: str) -> None:
    assert shown(kind, bytes.fromhex(data)) == f"\\# {len(data) // 2} {data}"


def test_a_name_may_not_leave_its_record() -> None:
    data = b"\x03abc\0\x01x"
    assert record_text(DnsMessage(data), Record("x", 2, 1, 0, 0, 3)) == "\\# 3 036162"


def test_names_of_numbers() -> None:
    assert [type_name(number) for number in (1, 65, 65280)] == ["A", "HTTPS", "TYPE65280"]
    assert [class_name(number) for number in (1, 0x8001, 3, 255, 77)] == ["IN", "IN", "CH", "ANY", "CLASS77"]


@given(st.sampled_from(sorted(RDATA)), st.binary(max_size=64))
def test_any_data_has_a_text(kind: str, data: bytes) -> None:
    assert isinstance(shown(kind, data), str)
