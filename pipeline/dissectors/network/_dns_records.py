"""Record data as text, in the presentation form of each type's RFC, and the mnemonics of types, classes and codes.

A type is a row of RDATA: one letter per field, read left to right. An unknown type is RFC 3597's `\\# length hex`.
"""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Callable
from ipaddress import IPv6Address

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.network._dns_message import DnsMessage, FormatError, Record, read_name

__all__ = ["OPCODES", "RCODES", "class_name", "opcode_name", "rcode_name", "record_text", "type_name"]

_TYPES = (
    "1 A,2 NS,3 MD,4 MF,5 CNAME,6 SOA,7 MB,8 MG,9 MR,10 NULL,11 WKS,12 PTR,13 HINFO,14 MINFO,15 MX,16 TXT,17 RP,"
    "18 AFSDB,19 X25,20 ISDN,21 RT,22 NSAP,24 SIG,25 KEY,26 PX,28 AAAA,29 LOC,30 NXT,33 SRV,35 NAPTR,36 KX,"
    "37 CERT,38 A6,39 DNAME,41 OPT,42 APL,43 DS,44 SSHFP,45 IPSECKEY,46 RRSIG,47 NSEC,48 DNSKEY,49 DHCID,"
    "50 NSEC3,51 NSEC3PARAM,52 TLSA,53 SMIMEA,55 HIP,59 CDS,60 CDNSKEY,61 OPENPGPKEY,62 CSYNC,63 ZONEMD,64 SVCB,"
    "65 HTTPS,99 SPF,108 EUI48,109 EUI64,249 TKEY,250 TSIG,251 IXFR,252 AXFR,253 MAILB,254 MAILA,255 ANY,256 URI,"
    "257 CAA,32768 TA,32769 DLV"
)
TYPES = {int(number): name for number, name in (pair.split() for pair in _TYPES.split(","))}
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
OPCODES = {0: "Query", 1: "IQuery", 2: "Status", 4: "Notify", 5: "Update", 6: "DSO"}
RCODES: dict[int, tuple[str, str]] = {
    0: ("NOERROR", "No Error"),
    1: ("FORMERR", "Format Error"),
    2: ("SERVFAIL", "Server Failure"),
    3: ("NXDOMAIN", "Name Error"),
    4: ("NOTIMP", "Not Implemented"),
    5: ("REFUSED", "Query Refused"),
    6: ("YXDOMAIN", "Name Exists"),
    7: ("YXRRSET", "RR Set Exists"),
    8: ("NXRRSET", "RR Set Does Not Exist"),
    9: ("NOTAUTH", "Not Authoritative"),
    10: ("NOTZONE", "Name Not In Zone"),
    16: ("BADVERS", "Bad OPT Version"),
    17: ("BADKEY", "Key Not Recognized"),
    18: ("BADTIME", "Signature Out Of Time Window"),
    22: ("BADTRUNC", "Bad Truncation"),
    23: ("BADCOOKIE", "Bad Or Missing Server Cookie"),
}
"""IANA DNS RCODEs: KFL's `dns_rcode` and the entry's `code`."""

RDATA = {
    "A": "4",
    "AAAA": "6",
    **dict.fromkeys(("NS", "CNAME", "PTR", "DNAME", "MB", "MG", "MR", "MD", "MF"), "n"),
    "SOA": "nnIIIII",
    **dict.fromkeys(("MX", "AFSDB", "KX", "RT"), "Hn"),
    **dict.fromkeys(("MINFO", "RP"), "nn"),
    **dict.fromkeys(("TXT", "SPF"), "t"),
    "HINFO": "ss",
    "SRV": "HHHn",
    "NAPTR": "HHsssn",
    **dict.fromkeys(("DS", "CDS", "DLV", "TA"), "HBBx"),
    **dict.fromkeys(("DNSKEY", "CDNSKEY", "KEY"), "HBBb"),
    **dict.fromkeys(("RRSIG", "SIG"), "TBBIDDHnb"),
    "NSEC": "nM",
    "NSEC3": "BBHzhM",
    "NSEC3PARAM": "BBHz",
    **dict.fromkeys(("TLSA", "SMIMEA"), "BBBx"),
    "SSHFP": "BBx",
    "CERT": "HBBb",
    "CAA": "Bgq",
    "URI": "HHq",
    **dict.fromkeys(("SVCB", "HTTPS"), "HnP"),
    **dict.fromkeys(("DHCID", "OPENPGPKEY"), "b"),
    **dict.fromkeys(("EUI48", "EUI64"), "e"),
    "ZONEMD": "IBBx",
    "LOC": "L",
    "OPT": "O",
}
"""Fields of each type: 4 6 addresses, n name, B H I integers, s t q text, b base64, x z hex, see `_FIELDS`."""
_RDATA = {number: RDATA[name] for number, name in TYPES.items() if name in RDATA}

SVC_PARAMS = {
    0: "mandatory",
    1: "alpn",
    2: "no-default-alpn",
    3: "port",
    4: "ipv4hint",
    5: "ech",
    6: "ipv6hint",
    7: "dohpath",
}
EDNS_OPTIONS = {3: "nsid", 5: "dau", 6: "dhu", 7: "n3u", 8: "client-subnet", 9: "expire", 10: "cookie", 12: "padding"}
EDNS_OPTIONS |= {11: "keepalive", 13: "chain", 14: "key-tag", 15: "ede", 16: "client-tag", 17: "server-tag"}


def type_name(number: int) -> str:
    return TYPES.get(number) or f"TYPE{number}"


def opcode_name(number: int) -> str:
    return OPCODES.get(number, f"OPCODE{number}")


def rcode_name(number: int) -> str:
    return RCODES[number][0] if number in RCODES else f"RCODE{number}"


def class_name(number: int) -> str:
    """Return the class; mDNS uses its top bit for "unicast answer" and "flush" (RFC 6762 §18.12, §18.13)."""
    return CLASSES.get(number) or CLASSES.get(number & 0x7FFF) or f"CLASS{number}"


def record_text(message: DnsMessage, record: Record) -> str:
    """Return a record's data as text; data that contradicts its type is shown as that of an unknown type."""
    fields = _RDATA.get(record.type)
    if fields:
        if fields in _ADDRESSES:  # most records
            size, address = _ADDRESSES[fields]
            if record.end - record.start == size:
                return address(message.data[record.start : record.end])
        cursor = _Cursor(message, record)
        try:
            shown = " ".join([_FIELDS[letter](cursor) for letter in fields])
        except (FormatError, IndexError):
            pass
        else:
            if cursor.at == record.end:
                return shown.rstrip()
    data = message.data[record.start : record.end]
    return f"\\# {len(data)} {data.hex()}" if data else ""  # RFC 2136 §2.5: updates delete with empty records


class _Cursor:
    """Reads one record's data; every read is checked against its end."""

    __slots__ = ("at", "data", "end", "names", "record")

    def __init__(self, message: DnsMessage, record: Record) -> None:
        self.data = message.data
        self.names = message.names
        self.record = record
        self.at = record.start
        self.end = record.end

    def take(self, count: int) -> bytes:
        start = self.at
        if count > self.end - start:
            raise FormatError("record data ends early", start)
        self.at = start + count
        return self.data[start : self.at]

    def rest(self) -> bytes:
        return self.take(self.end - self.at)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def string(self) -> bytes:
        return self.take(self.number(1))


def _name(cursor: _Cursor) -> str:
    name, cursor.at = read_name(cursor.data, cursor.at, cursor.names)
    if cursor.at > cursor.end:
        raise FormatError("name ends behind its record", cursor.at)
    return name


@functools.lru_cache(maxsize=4096)  # the same few addresses, over and over
def _ipv4(data: bytes) -> str:
    return "{}.{}.{}.{}".format(*data)


@functools.lru_cache(maxsize=4096)
def _ipv6(data: bytes) -> str:
    return str(IPv6Address(data))


_ADDRESSES: dict[str, tuple[int, Callable[[bytes], str]]] = {"4": (4, _ipv4), "6": (16, _ipv6)}


def _quoted(data: bytes) -> str:
    shown = text(data).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'


def _texts(cursor: _Cursor) -> str:
    """TXT: one text, its strings joined (RFC 7208 §3.3)."""
    parts = []
    while cursor.at < cursor.end:
        parts.append(cursor.string())
    return text(b"".join(parts))


def _date(cursor: _Cursor) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(cursor.number(4)))  # RFC 4034 §3.2


def _type_bitmap(cursor: _Cursor) -> str:
    """RFC 4034 §4.1.2."""
    names = []
    while cursor.at < cursor.end:
        window = cursor.number(1) << 8
        for index, byte in enumerate(cursor.string()):
            names += [type_name(window + index * 8 + bit) for bit in range(8) if byte & 0x80 >> bit]
    return " ".join(names)


def _service_params(cursor: _Cursor) -> str:
    """RFC 9460 §2.2."""
    shown = []
    while cursor.at < cursor.end:
        key = cursor.number(2)
        value = cursor.take(cursor.number(2))
        name = SVC_PARAMS.get(key, f"key{key}")
        shown.append(f"{name}={_service_value(name, value)}" if value else name)
    return " ".join(shown)


def _service_value(name: str, value: bytes) -> str:
    if name == "port" and len(value) == 2:
        return str(int.from_bytes(value, "big"))
    if name == "ipv4hint" and len(value) % 4 == 0:
        return ",".join(_ipv4(value[at : at + 4]) for at in range(0, len(value), 4))
    if name == "ipv6hint" and len(value) % 16 == 0:
        return ",".join(_ipv6(value[at : at + 16]) for at in range(0, len(value), 16))
    if name == "mandatory" and len(value) % 2 == 0:
        keys = [int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2)]
        return ",".join(SVC_PARAMS.get(key, f"key{key}") for key in keys)
    if name == "alpn":
        ids, at = [], 0
        while at < len(value):
            ids.append(text(value[at + 1 : at + 1 + value[at]]))
            at += 1 + value[at]
        return ",".join(ids)
    if name == "ech":
        return base64.b64encode(value).decode()
    return text(value)


def _edns(cursor: _Cursor) -> str:
    """OPT: class is the sender's UDP payload size, TTL holds version and DO bit (RFC 6891 §6.1)."""
    record = cursor.record
    shown = [f"version={record.ttl >> 16 & 255}", f"udp={record.rclass}"]
    if record.ttl & 0x8000:
        shown.append("do")
    while cursor.at < cursor.end:
        code = cursor.number(2)
        value = cursor.take(cursor.number(2))
        shown.append(f"{EDNS_OPTIONS.get(code, f'option{code}')}={value.hex()}")
    return " ".join(shown)


def _location(cursor: _Cursor) -> str:
    """RFC 1876 §3."""
    version, size, horizontal, vertical = cursor.take(4)
    latitude, longitude, altitude = (cursor.number(4) for _ in range(3))
    if version:
        raise FormatError("LOC of an unknown version", cursor.record.start)
    precision = " ".join(f"{(byte >> 4) * 10 ** (byte & 15) / 100:.2f}m" for byte in (size, horizontal, vertical))
    return f"{_angle(latitude, 'NS')} {_angle(longitude, 'EW')} {(altitude - 10_000_000) / 100:.2f}m {precision}"


def _angle(value: int, directions: str) -> str:
    thousandths = abs(value - (1 << 31))
    seconds, minutes = thousandths / 1000 % 60, thousandths // 60_000 % 60
    return f"{thousandths // 3_600_000} {minutes} {seconds:.3f} {directions[value < 1 << 31]}"


def _hash(cursor: _Cursor) -> str:
    return base64.b32hexencode(cursor.string()).decode().rstrip("=").lower()  # RFC 5155 §3.3


_FIELDS: dict[str, Callable[[_Cursor], str]] = {
    "4": lambda cursor: _ipv4(cursor.take(4)),
    "6": lambda cursor: _ipv6(cursor.take(16)),
    "n": _name,
    "B": lambda cursor: str(cursor.number(1)),
    "H": lambda cursor: str(cursor.number(2)),
    "I": lambda cursor: str(cursor.number(4)),
    "s": lambda cursor: _quoted(cursor.string()),
    "g": lambda cursor: text(cursor.string()),
    "q": lambda cursor: _quoted(cursor.rest()),
    "t": _texts,
    "b": lambda cursor: base64.b64encode(cursor.rest()).decode(),
    "x": lambda cursor: cursor.rest().hex(),
    "z": lambda cursor: cursor.string().hex() or "-",
    "h": _hash,
    "e": lambda cursor: cursor.rest().hex("-"),
    "T": lambda cursor: type_name(cursor.number(2)),
    "D": _date,
    "M": _type_bitmap,
    "P": _service_params,
    "L": _location,
    "O": _edns,
}
