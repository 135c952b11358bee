"""DNS messages, as much as following names needs: questions for addresses, and what answers say (RFC 1035 §4).

Bytes come from the network. Every length is checked; what is malformed raises ValueError and opens nothing.
Our own, though dnspython exists: strangers decide how many responses there are, and it takes 212 µs for one, this 28.
The pipeline's dissector is not imported: the firewall runs where nothing is dissected.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["ADDRESS_TYPES", "Answer", "Question", "parse_answer", "parse_question", "write_question"]

A, CNAME, AAAA, _IN = 1, 5, 28, 1
ADDRESS_TYPES = (A, AAAA)
_SIZES = {A: 4, AAAA: 16}
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length
_RESPONSE, _OPCODE, _CUT, _WANTED = 0x8000, 0x7800, 0x0200, 0x0100
MAX_RECORDS = 128  # of an answer section that are read; a name with more addresses is followed by these
MAX_NAME = 255
MAX_ALIASES = 16

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Question:
    id: int
    name: str  # small letters, no dot at its end
    type: int


@dataclass(frozen=True, slots=True)
class Answer:
    question: Question
    code: int  # 0: no error, 3: there is no such name
    is_cut: bool  # the whole of it is to be had by TCP
    names: tuple[str, ...]  # what was asked for, and the aliases it leads over
    addresses: tuple[Address, ...]
    ttl_s: int  # the shortest on the way


def write_question(question: Question) -> bytes:
    """Return a message that asks a resolver; raise ValueError for what is no name."""
    labels = question.name.encode("ascii").split(b".")
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{question.name!r:.80} is no name")
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(name) > MAX_NAME:
        raise ValueError(f"{question.name!r:.80} is too long")
    return _HEADER.pack(question.id, _WANTED, 1, 0, 0, 0) + name + struct.pack("!HH", question.type, _IN)


def parse_question(data: bytes) -> Question:
    """Return what a query asks; raise ValueError unless it asks for the addresses of one name."""
    question, flags, _, _ = _head(data)
    if flags & (_RESPONSE | _OPCODE):
        raise ValueError("no query")
    return question


def parse_answer(data: bytes) -> Answer:
    """Return what a response says about the addresses of one name; raise ValueError."""
    question, flags, count, at = _head(data)
    if not flags & _RESPONSE or flags & _OPCODE:
        raise ValueError("no response")
    names, addresses, ttl_s = [question.name], dict[Address, None](), 0x7FFFFFFF
    for _ in range(min(count, MAX_RECORDS)):
        owner, at = _name(data, at)
        if len(data) - at < _RECORD.size:
            raise ValueError("a record ends early")
        kind, of_class, ttl, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if len(data) - at < size:
            raise ValueError("a record ends early")
        if of_class == _IN and owner == names[-1]:  # others answer something that was not asked
            ttl = 0 if ttl >> 31 else ttl  # RFC 2181 §8
            if kind == CNAME and not addresses and len(names) <= MAX_ALIASES:
                alias, end = _name(data, at)
                if end != at + size:
                    raise ValueError("an alias does not fill its record")
                names.append(alias)
                ttl_s = min(ttl_s, ttl)
            elif kind == question.type:
                if size != _SIZES[kind]:
                    raise ValueError("no address")
                addresses[ip_address(data[at : at + size])] = None
                ttl_s = min(ttl_s, ttl)
        at += size
    return Answer(
        question, flags & 15, bool(flags & _CUT), tuple(names), tuple(addresses), ttl_s if addresses else 0
    )  # fmt: skip


def _head(data: bytes) -> tuple[Question, int, int, int]:
    """Return the one question, the flags, how many answers there are, and where they begin."""
    if len(data) < _HEADER.size:
        raise ValueError("a header ends early")
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if questions != 1:
        raise ValueError("not one question")
    name, at = _name(data, _HEADER.size)
    if len(data) - at < 4:
        raise ValueError("a question ends early")
    kind, of_class = struct.unpack_from("!HH", data, at)
    if kind not in ADDRESS_TYPES or of_class != _IN:
        raise ValueError("no question for addresses")
    return Question(number, name, kind), flags, answers, at + 4


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Return a name, small letters, and where it ends; pointers lead backwards alone, so that it does end."""
    labels: list[str] = []
    length, end, before = 0, -1, at
    while True:
        if at >= len(data):
            raise ValueError("a name ends early")
        size = data[at]
        if size == 0:
            break
        if size >= 0xC0:
            if at + 2 > len(data):
                raise ValueError("a pointer ends early")
            target = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            if target >= before:
                raise ValueError("a pointer leads forwards")
            end, at, before = at + 2 if end < 0 else end, target, target
            continue
        label = data[at + 1 : at + 1 + size]
        length += 1 + size
        if size >= 64 or len(label) < size or length >= MAX_NAME:
            raise ValueError("a label is too long")
        if not all(0x21 <= each < 0x7F and each != 0x2E for each in label):
            raise ValueError("a label is no text")
        labels.append(label.decode("ascii").lower())
        at += 1 + size
    return ".".join(labels), at + 1 if end < 0 else end
