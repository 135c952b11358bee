"""DNS messages off the wire (RFC 1035 §4): header, questions, where each record's data lies.

Never raises on hostile bytes: what was read before the damage is kept, and `DnsMessage.error` says where it begins.
"""

from __future__ import annotations

import functools
import re
from struct import Struct as Layout
from typing import NamedTuple

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._text import text

__all__ = ["HEADER_BYTES", "DnsMessage", "FormatError", "Names", "Question", "Record", "parse_message", "read_name"]

HEADER = Layout(">6H")
HEADER_BYTES = HEADER.size
RECORD = Layout(">HHIH")
QUESTION = Layout(">HH")
MAX_NAME = 255
"""Bytes of a name on the wire, RFC 1035 §2.3.4."""
Names = dict[int, tuple[str, int]]
"""Offset a pointer led to → (name, its bytes on the wire without pointers)."""
MAX_POINTERS = 32
"""Compression pointers in one name. Encoders need one; chains of them only cost time."""
OPT = 41

_PLAIN = re.compile(rb"[!-\-/-\[\]-~]*")  # printable ASCII without space, dot and backslash


class FormatError(Exception):
    """A name or record that cannot be read; never leaves the DNS dissector."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at {offset}")


class Question(NamedTuple):
    name: str
    type: int
    rclass: int


class Record(NamedTuple):
    name: str
    type: int
    rclass: int
    ttl: int
    start: int  # of the record's data in the message
    end: int


class DnsMessage(Struct):
    """One message; the sections hold what could be read."""

    data: bytes
    id: int = 0
    flags: int = 0
    questions: list[Question] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    authorities: list[Record] = field(default_factory=list)
    additionals: list[Record] = field(default_factory=list)
    names: Names = field(default_factory=dict)
    end: int = 0  # behind the last record read
    error: str = ""

    @property
    def is_response(self) -> bool:
        return bool(self.flags & 0x8000)

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        """The response code with the eight bits that EDNS adds (RFC 6891 §6.1.3)."""
        extended = next((record.ttl >> 24 for record in self.additionals if record.type == OPT), 0)
        return extended << 4 | self.flags & 15


def parse_message(data: bytes) -> DnsMessage:
    """Read one message; bytes behind its last record are an error, and kept out of it."""
    if len(data) < HEADER_BYTES:
        return DnsMessage(data, error=f"truncated: {len(data)} bytes are no DNS header")
    number, flags, asked, *counts = HEADER.unpack_from(data)
    questions: list[Question] = []
    answers: list[Record] = []
    authorities: list[Record] = []
    additionals: list[Record] = []
    names: Names = {}
    at, error = HEADER_BYTES, ""
    try:
        for _ in range(asked):
            question, at = _read_question(data, at, names)
            questions.append(question)
        for section, count in zip((answers, authorities, additionals), counts, strict=True):
            for _ in range(count):
                record = _read_record(data, at, names)
                section.append(record)
                at = record.end
    except FormatError as damage:
        error = f"malformed: {damage}"
    else:
        if at < len(data):
            error = f"malformed: {len(data) - at} bytes behind the last record at {at}"
    return DnsMessage(data, number, flags, questions, answers, authorities, additionals, names, at, error)


def _read_question(data: bytes, at: int, seen: Names) -> tuple[Question, int]:
    name, at = read_name(data, at, seen)
    end = at + QUESTION.size
    if end > len(data):
        raise FormatError("question ends early", at)
    return Question(name, *QUESTION.unpack_from(data, at)), end


def _read_record(data: bytes, at: int, seen: Names) -> Record:
    name, at = read_name(data, at, seen)
    start = at + RECORD.size
    if start > len(data):
        raise FormatError("record ends early", at)
    rtype, rclass, ttl, length = RECORD.unpack_from(data, at)
    if start + length > len(data):
        raise FormatError(f"record data of {length} bytes ends early", start)
    return Record(name, rtype, rclass, ttl, start, start + length)


def read_name(data: bytes, at: int, seen: Names) -> tuple[str, int]:
    """Return (name without trailing dot, offset behind it); the root is ".".

    A compression pointer must point before the labels that hold it (RFC 1035 §4.1.4: "a prior occurrence"), so that
    reading always ends; `seen` keeps what pointers led to, so that no label is read twice for them. Raise FormatError.
    """
    start = at
    if is_pointer := data[at : at + 1] >= b"\xc0" and at + 1 < len(data):
        start = (data[at] & 63) << 8 | data[at + 1]
        if start >= at:
            raise FormatError("pointer that does not point back", at)
        if start in seen:
            return seen[start][0] or ".", at + 2
    # nearly always all of its labels follow each other there, and other messages have the same
    stop = data.find(b"\0", start, start + MAX_NAME)
    if stop >= 0 and (name := _whole_name(data[start:stop])) is not None:
        if not is_pointer:
            return name or ".", stop + 1
        seen[start] = name, stop - start
        return name or ".", at + 2
    return _read_labels(data, at, seen)


@functools.lru_cache(maxsize=4096)
def _whole_name(labels: bytes) -> str | None:
    """Return the name that these bytes are, "" for the root; None if they are not labels one behind the other."""
    texts, at = [], 0
    while at < len(labels):
        start = at + 1
        at = start + labels[at]
        if at - start >= 64:
            return None
        texts.append(_label_text(labels[start:at]))
    return ".".join(texts) if at == len(labels) else None


def _read_labels(data: bytes, at: int, seen: Names) -> tuple[str, int]:
    """Do what `read_name` does, label by label."""
    labels: list[bytes] = []
    tail = ""  # of the name, already in `seen`
    end, first, size, pointers = -1, at, 1, 0
    split, size_before, pointed = 0, 0, -1  # what came before the first pointer, and where that points
    try:
        while length := data[at]:
            if length < 64:
                at += 1
                labels.append(data[at : at + length])
                at += length
                size += 1 + length
            elif length >= 192:
                target = (length & 63) << 8 | data[at + 1]
                pointers += 1
                if target >= first or pointers > MAX_POINTERS:
                    raise FormatError("pointer that does not point back", at)
                if pointed < 0:
                    end, split, size_before, pointed = at + 2, len(labels), size, target
                if target in seen:
                    tail, tail_size = seen[target]
                    size += tail_size
                    if size > MAX_NAME:
                        raise FormatError("name longer than 255 bytes", first)
                    break
                at = first = target
            else:
                raise FormatError("unknown label type", at)
            if size > MAX_NAME:
                raise FormatError("name longer than 255 bytes", first)
    except IndexError:
        raise FormatError("name ends early", len(data)) from None
    texts = [_label_text(label) for label in labels]
    if tail:
        texts.append(tail)
    if pointed < 0:
        return ".".join(texts) or ".", at + 1
    seen[pointed] = ".".join(texts[split:]), size - size_before
    return ".".join(texts) or ".", end


def _label_text(label: bytes) -> str:
    """Escape what would be mistaken (RFC 1035 §5.1); UTF-8 stays readable, mDNS uses it (RFC 6762 §16)."""
    if _PLAIN.fullmatch(label):
        return label.decode()
    shown = text(label).replace("\\", "\\\\").replace(".", "\\.")
    return shown if shown.isprintable() else "".join(c if c.isprintable() else f"\\{ord(c):03d}" for c in shown)
