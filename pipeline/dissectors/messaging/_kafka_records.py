"""Reads Kafka's record sets: batches of format 2 (KIP-98), message sets of formats 0 and 1, compressed or not.

All on demand and within limits: decompression stops at DECODED_LIMIT bytes a batch, a set shows MAX_RECORDS records.
A fetch response may end inside a batch: brokers cut at the size the client asked for, so that is no error.
"""

from __future__ import annotations

import zlib
from struct import Struct, error
from typing import Any

import msgspec
import zstandard

from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, text_or_base64

__all__ = ["RecordSet", "body_of", "read_records"]

DECODED_LIMIT = 4 << 20
"""Decompressed bytes read of one batch; brokers refuse more than 1 MiB compressed unless configured otherwise."""
MAX_RECORDS = 1_000
"""Records shown of one set."""
MAX_HEADERS = 100
MAX_NESTING = 2  # a compressed message of format 0 or 1 holds a message set, never one that is compressed again
MAX_WINDOW = 8 << 20  # Kafka's own levels need at most this much
PIECE = 64 << 10

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
CONTROL_TYPES = {
    0: "ABORT",
    1: "COMMIT",
    2: "LEADER_CHANGE",
    3: "SNAPSHOT_HEADER",
    4: "SNAPSHOT_FOOTER",
    5: "KRAFT_VERSION",
    6: "KRAFT_VOTERS",
}
XERIAL = b"\x82SNAPPY\0"

_ENTRY = Struct(">qi")  # offset, length: the same in all formats
_BATCH = Struct(">qiibIhiqqqhii")
_MESSAGE = Struct(">Ibb")
_TIME = Struct(">q")
_CONTROL = Struct(">hh")
MAGIC_AT = 16
MIN_MESSAGE = 14  # of format 0, behind its length: checksum, format, attributes, two null payloads


class _Damaged(ValueError):
    """Bytes that are no record; the rest of their batch is left."""


class RecordSet(msgspec.Struct):
    """The records of one partition: the document, and the first payloads as text."""

    document: dict[str, Any]
    lines: list[str] = msgspec.field(default_factory=list)  # "value", or "key\tvalue"
    is_cut: bool = False  # more records or bytes than are shown


def body_of(sets: list[RecordSet]) -> tuple[str, bool]:
    """Return the text of all records, one a line, and whether more was there."""
    body = "\n".join(line for found in sets for line in found.lines)
    return body[:BODY_LIMIT], len(body) > BODY_LIMIT or any(found.is_cut for found in sets)


def read_records(data: bytes) -> RecordSet:
    """Return the batches of a record set; never raises."""
    found = RecordSet({"recordBatch": []})
    batches: list[dict[str, Any]] = found.document["recordBatch"]
    at = 0
    while len(data) - at > MAGIC_AT and not found.is_cut:
        _, length = _ENTRY.unpack_from(data, at)
        end = at + _ENTRY.size + length
        if length < MIN_MESSAGE or end > len(data):
            found.document["partial"] = len(data) - at  # bytes of a batch that the broker cut
            break
        magic = data[at + MAGIC_AT]
        if magic > 2:
            found.document["error"] = f"record format {magic} is unknown"
            break
        batch: dict[str, Any] = {}
        batches.append(batch)
        try:
            if magic == 2:
                _read_batch(data[at:end], batch, found)
            else:
                _read_message(data[at:end], batch, found)
        except (_Damaged, error) as damage:
            batch["error"] = f"malformed: {damage}"
        at = end
    return found


def _read_batch(data: bytes, batch: dict[str, Any], found: RecordSet) -> None:
    offset, length, epoch, magic, crc, attributes, last, *rest = _BATCH.unpack_from(data)
    first_time, max_time, producer, producer_epoch, sequence, count = rest
    codec, is_control = attributes & 7, bool(attributes & 0x20)
    batch |= {
        "baseOffset": offset,
        "batchLength": length,
        "partitionLeaderEpoch": epoch,
        "magic": magic,
        "crc": crc,
        "compression": _codec_name(codec),
        "timestampType": "LogAppendTime" if attributes & 8 else "CreateTime",
        "isTransactional": bool(attributes & 0x10),
        "isControlBatch": is_control,
        "lastOffsetDelta": last,
        "firstTimestamp": first_time,
        "maxTimestamp": max_time,
        "producerId": producer,
        "producerEpoch": producer_epoch,
        "baseSequence": sequence,
        "recordCount": count,
        "record": [],
    }
    body, is_cut = _decompress(codec, data[_BATCH.size :])
    found.is_cut |= is_cut
    reader = _Varints(body)
    for _ in range(count):
        if len(batch["record"]) == MAX_RECORDS:
            found.is_cut = batch["recordsTruncated"] = True
            break
        if is_cut and reader.at >= len(body):
            break
        end = reader.varint() + reader.at
        reader.take(1)  # attributes: none are defined
        time_delta, offset_delta = reader.varint(), reader.varint()
        key, value = reader.sized(), reader.sized()
        headers = [reader.header() for _ in range(min(reader.varint(), MAX_HEADERS))]
        reader.at = max(end, reader.at)
        record = _record(offset + offset_delta, first_time + time_delta, key, value)
        record["headers"] = headers
        batch["record"].append(record)
        if is_control:
            record["controlType"] = _control_type(key)
        else:
            _add_line(found, key, value)


def _read_message(data: bytes, batch: dict[str, Any], found: RecordSet, nesting: int = 1) -> None:
    """Read one message of format 0 or 1; a compressed one wraps a set of them."""
    offset, _ = _ENTRY.unpack_from(data)
    crc, magic, attributes = _MESSAGE.unpack_from(data, _ENTRY.size)
    at = _ENTRY.size + _MESSAGE.size
    time = -1
    if magic == 1:
        time = _TIME.unpack_from(data, at)[0]
        at += _TIME.size
    codec = attributes & 7
    batch |= {
        "baseOffset": offset,
        "magic": magic,
        "crc": crc,
        "compression": _codec_name(codec),
        "timestampType": "LogAppendTime" if attributes & 8 else "CreateTime",
        "record": batch.get("record", []),
    }
    key, at = _sized32(data, at)
    value, at = _sized32(data, at)
    records: list[dict[str, Any]] = batch["record"]
    if not codec:
        records.append(_record(offset, time, key, value))
        _add_line(found, key, value)
        return
    if nesting == MAX_NESTING:
        raise _Damaged("compressed twice")
    body, is_cut = _decompress(codec, value or b"")
    found.is_cut |= is_cut
    inner = 0
    while len(body) - inner > MAGIC_AT:
        if len(records) == MAX_RECORDS:
            found.is_cut = batch["recordsTruncated"] = True
            break
        end = inner + _ENTRY.size + _ENTRY.unpack_from(body, inner)[1]
        if not inner + MAGIC_AT < end <= len(body):
            break
        _read_message(body[inner:end], {"record": records}, found, nesting + 1)
        inner = end
    if magic == 1 and records:  # offsets inside count from the first, the wrapper's is that of the last (KIP-31)
        base = max(offset - records[-1]["offset"], 0)
        for record in records:
            record["offset"] += base


def _record(offset: int, time: int, key: bytes | None, value: bytes | None) -> dict[str, Any]:
    record: dict[str, Any] = {"offset": offset, "timestamp": time}
    for name, data in (("key", key), ("value", value)):
        record[name], encoding = ("", "") if data is None else text_or_base64(data)
        if encoding:
            record[name + "Encoding"] = encoding
        if data is None:
            record[name] = None
    return record


def _add_line(found: RecordSet, key: bytes | None, value: bytes | None) -> None:
    shown = (value or b"").decode("utf-8", "replace")
    found.lines.append(f"{key.decode('utf-8', 'replace')}\t{shown}" if key else shown)


def _codec_name(codec: int) -> str:
    return CODECS[codec] if codec < len(CODECS) else f"codec {codec}"


def _control_type(key: bytes | None) -> str:
    if not key or len(key) < _CONTROL.size:
        return ""
    kind = _CONTROL.unpack_from(key)[1]
    return CONTROL_TYPES.get(kind, str(kind))


def _sized32(data: bytes, at: int) -> tuple[bytes | None, int]:
    count = int.from_bytes(data[at : at + 4], "big", signed=True)
    at += 4
    if at + max(count, 0) > len(data):
        raise _Damaged(f"{count} bytes expected at {at}, {len(data) - at} left")
    return (None, at) if count < 0 else (data[at : at + count], at + count)


class _Varints(msgspec.Struct):
    """Reads the fields of a record of format 2: zigzag varints, and bytes with such a length."""

    data: bytes
    at: int = 0

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            if self.at >= len(self.data):
                raise _Damaged(f"record ends early at {self.at}")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise _Damaged(f"varint without an end at {self.at}")

    def take(self, count: int) -> bytes:
        start = self.at
        if count > len(self.data) - start:
            raise _Damaged(f"{count} bytes expected at {start}, {len(self.data) - start} left")
        self.at = start + count
        return self.data[start : self.at]

    def sized(self) -> bytes | None:
        count = self.varint()
        return None if count < 0 else self.take(count)

    def header(self) -> dict[str, Any]:
        key, value = self.sized() or b"", self.sized()
        shown, encoding = (None, "") if value is None else text_or_base64(value)
        header = {"key": key.decode("utf-8", "replace"), "value": shown}
        return header | {"encoding": encoding} if encoding else header


def _decompress(codec: int, data: bytes) -> tuple[bytes, bool]:
    """Return at most DECODED_LIMIT bytes, and whether there were more. Raise _Damaged."""
    if codec == 0:
        return data, False
    if codec >= len(CODECS):
        raise _Damaged(f"compression {codec} is unknown")
    try:
        body = (_gunzip, _unsnappy, _unlz4, _unzstd)[codec - 1](data)
    except (zlib.error, zstandard.ZstdError, ValueError) as damage:
        raise _Damaged(f"{CODECS[codec]}: {damage}") from damage
    return body[:DECODED_LIMIT], len(body) > DECODED_LIMIT


def _gunzip(data: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(data, DECODED_LIMIT + 1)


def _unzstd(data: bytes) -> bytes:
    result = bytearray()
    with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(data, read_across_frames=True) as reader:
        while len(result) <= DECODED_LIMIT and (piece := reader.read(PIECE)):
            result += piece
    return bytes(result)


def _unsnappy(data: bytes) -> bytes:
    """Undo snappy: bare, or in the blocks of the xerial library, which Kafka's Java clients write."""
    if not data.startswith(XERIAL):
        return _unsnappy_block(data, DECODED_LIMIT)
    result, at = bytearray(), len(XERIAL) + 8  # two version numbers follow
    while at + 4 <= len(data) and len(result) <= DECODED_LIMIT:
        count = int.from_bytes(data[at : at + 4], "big")
        result += _unsnappy_block(data[at + 4 : at + 4 + count], DECODED_LIMIT)
        at += 4 + count
    return bytes(result)


def _unsnappy_block(data: bytes, limit: int) -> bytes:
    import cramjam  # few streams need it

    try:
        size = cramjam.snappy.decompress_raw_len(data)
        if size > limit:
            raise _Damaged(f"a block of {size} bytes")
        return bytes(cramjam.snappy.decompress_raw(data)) if size else b""
    except cramjam.DecompressionError as damage:
        raise _Damaged(str(damage)) from damage


def _unlz4(data: bytes) -> bytes:
    """Undo an LZ4 frame, as far as DECODED_LIMIT.

    Clients before 0.10 computed the header's checksum over other bytes (KIP-57): there all are tried, it is one byte.
    """
    import cramjam  # few streams need it

    result = bytearray(min(DECODED_LIMIT + 1, 255 * len(data) + 1))  # LZ4 cannot give more than 255 for 1
    checksum_at = 6 + (8 if data[4:5] and data[4] & 8 else 0)  # behind magic, flags and the content's size
    for checksum in (None, *range(256)):
        tried = data if checksum is None else b"%b%c%b" % (data[:checksum_at], checksum, data[checksum_at + 1 :])
        try:
            return bytes(result[: cramjam.lz4.decompress_into(tried, result)])
        except cramjam.DecompressionError as damage:
            if "whole buffer" in str(damage):
                return bytes(result)
            if "headerChecksum" not in str(damage):
                raise _Damaged(str(damage)) from damage
    raise _Damaged("header checksum")
