"""The batch frame: golden bytes, a plugin of ten lines of Python, and mutated results."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.extension_api._frame import (
    DISSECT,
    ERROR_FIELD,
    FILTER,
    PROBE,
    RENDER,
    FieldType,
    FrameError,
    FrameItem,
    decode_dissect,
    decode_filter,
    decode_probe,
    decode_render,
    encode_request,
    encode_values,
    request_size,
)
from kubeshark.extension_api._models import MessageKind, Verdict

TYPES = ("string", "int", "double", "bool", "bytes", "list", "map", "timestamp")


def request(hook: int, items: list[FrameItem]) -> bytes:
    out = bytearray(request_size([len(item.payload) for item in items]))
    assert encode_request(hook, items, out) == len(out)
    return bytes(out)


def read_request(data: bytes) -> list[tuple[Any, ...]]:
    """The plugin's side: (payload, stream, time, direction, transport, flags, ports, argument, base) of each item."""
    magic, _abi, _hook, count, _flags, payload_at, total, _ = struct.unpack_from("<4sHHIIIIQ", data)
    assert magic == b"KSB1"
    assert total == len(data)
    items = []
    for index in range(count):
        offset, length, stream, time, side, transport, flags, client, server, argument, zero, base = struct.unpack_from(
            "<IIQQBBHHHIIQ", data, 32 + 48 * index
        )
        assert zero == 0
        assert offset % 8 == 0
        payload = data[payload_at + offset : payload_at + offset + length]
        items.append((payload, stream, time, side, transport, flags, client, server, argument, base))
    return items


def header(hook: int, items: int, messages: int, fields: int, heap: int, total: int) -> bytes:
    return struct.pack("<4sHHIIIIII", b"KSR1", 1, hook, items, messages, fields, heap, total, 0)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def dissect_result(consumed: list[int], messages: list[dict[str, Any]]) -> bytes:
    """Build a result as a plugin would; a message's `fields` are (id, type, value) with bytes going to the heap."""
    heap = fields = rows = b""
    count = 0
    for message in messages:
        own = message.get("fields", [])
        rows += struct.pack(
            "<IBBHIIQII",
            message["item"],
            message.get("kind", 0),
            message.get("flags", 0),
            len(own),
            message["start"],
            message["end"],
            message.get("key", 0),
            count,
            0,
        )
        for number, kind, value in own:
            if isinstance(value, bytes):
                value, heap = len(heap) | len(value) << 32, heap + value
            fields += struct.pack("<HBBIQ", number, kind, 0, 0, value & (1 << 64) - 1)
        count += len(own)
    body = pad(struct.pack(f"<{len(consumed)}I", *consumed)) + rows + fields + pad(heap)
    return header(DISSECT, len(consumed), len(messages), count, len(heap), 32 + len(body)) + body


def decode(result: bytes, payloads: list[bytes]) -> Any:
    return decode_dissect(memoryview(result), payloads, TYPES)  # type: ignore[arg-type]


def test_request_bytes_are_those_of_the_page() -> None:
    items = [
        FrameItem(b"abc", 7, 1_000_000_007, 1, 17, 3, 40000, 69, 2, 5),
        FrameItem(memoryview(b"0123456789")),
    ]
    assert request(DISSECT, items).hex(" ", 8) == (
        "4b53423101000400 0200000000000000 8000000098000000 0000000000000000"  # header: payload at 128, total 152
        " 0000000003000000 0700000000000000 07ca9a3b00000000 01110300409c4500 0200000000000000 0500000000000000"
        " 080000000a000000 0000000000000000 0000000000000000 0006000000000000 0000000000000000 0000000000000000"
        " 6162630000000000 3031323334353637 3839000000000000"
    )


def test_value_list_bytes_are_those_of_the_page() -> None:
    values = encode_values([-1, True, 1.5, "é", b"\x00\xff", ["a"], {"k": "v"}])
    head = 8 + 7 * 16
    assert values[:8] == struct.pack("<II", 7, 0)
    kinds = [values[8 + 16 * i + 2] for i in range(7)]
    assert kinds == [0, 2, 1, 4, 5, 7, 7]
    assert values[head:] == "é".encode() + b"\x00\xff" + b'["a"]' + b'{"k":"v"}'
    assert struct.unpack_from("<q", values, 16) == (-1,)
    assert struct.unpack_from("<II", values, 8 + 16 * 3 + 8) == (head, 2)


def test_lone_surrogates_and_huge_integers_are_encoded() -> None:
    values = encode_values(["\ud800", 1 << 70, -(1 << 70)])
    assert struct.unpack_from("<qq", values, 8 + 16 + 8)[0] == (1 << 63) - 1
    assert values.endswith(b"?")


items_strategy = st.lists(
    st.builds(
        FrameItem,
        st.binary(max_size=40),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 1),
        st.integers(0, 255),
        st.integers(0, 31),
        st.integers(0, 65535),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
    ),
    max_size=20,
)


@given(items_strategy)
def test_a_plugin_reads_what_the_host_wrote(items: list[FrameItem]) -> None:
    assert read_request(request(DISSECT, items)) == [tuple(item) for item in items]


def test_a_frame_that_does_not_fit_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="request frame needs"):
        encode_request(PROBE, [FrameItem(b"x" * 100)], bytearray(128))
    with pytest.raises(ValueError, match="request frame needs"):
        encode_request(PROBE, [FrameItem(b"123")], bytearray(83))  # the padding counts


fields_strategy = st.fixed_dictionaries(
    {},
    optional={
        0: st.tuples(st.just(int(FieldType.HEAP_TEXT)), st.text(max_size=8).map(str.encode)),
        1: st.tuples(st.just(int(FieldType.INT)), st.integers(-(2**63), 2**63 - 1)),
        3: st.tuples(st.just(int(FieldType.BOOL)), st.integers(0, 1)),
        4: st.tuples(st.just(int(FieldType.HEAP_BYTES)), st.binary(max_size=8)),
        ERROR_FIELD: st.tuples(st.just(int(FieldType.HEAP_TEXT)), st.text(min_size=1, max_size=8).map(str.encode)),
    },
)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.lists(fields_strategy, max_size=2)), max_size=4))
def test_decoding_a_result_gives_what_the_plugin_meant(found: list[tuple[bytes, list[Any]]]) -> None:
    payloads = [payload for payload, _ in found]
    messages = [
        {
            "item": item,
            "kind": item % 3,
            "flags": 2 if ERROR_FIELD in fields else 0,
            "start": 0,
            "end": len(payload),
            "key": item,
            "fields": [(number, kind, value) for number, (kind, value) in fields.items()],
        }
        for item, (payload, all_fields) in enumerate(found)
        for fields in all_fields
    ]
    result = decode(dissect_result([len(payload) for payload in payloads], messages), payloads)
    assert result.consumed == [len(payload) for payload in payloads]
    for message, expected in zip(result.messages, messages, strict=True):
        assert (message.item, message.kind, message.key) == (expected["item"], expected["kind"], expected["key"])
        wanted = {number: value for number, _, value in expected["fields"]}
        error = wanted.pop(ERROR_FIELD, b"").decode()
        meant = {
            number: value.decode() if number == 0 else bool(value) if number == 3 else value
            for number, value in wanted.items()
        }
        assert (message.fields, message.error) == (meant, error)


def test_traffic_text_is_replaced_and_lists_are_lists() -> None:
    fields = [
        (0, 3, 1 | 2 << 32),
        (2, 1, struct.unpack("<Q", struct.pack("<d", 0.5))[0]),
        (5, 7, b'["a","b"]'),
        (6, 7, b'{"a":"b"}'),
        (4, 6, 0 | 3 << 32),
    ]
    result = decode(
        dissect_result([3], [{"item": 0, "kind": 1, "flags": 5, "start": 0, "end": 3, "fields": fields}]), [b"a\xffb"]
    )
    (message,) = result.messages
    assert message.fields == {0: "\N{REPLACEMENT CHARACTER}b", 2: 0.5, 5: ["a", "b"], 6: {"a": "b"}, 4: b"a\xffb"}
    assert (message.kind, message.one_way, message.interim) == (MessageKind.RESPONSE, True, True)


ONE = {"item": 0, "start": 0, "end": 2}


@pytest.mark.parametrize(
    ("consumed", "messages", "item", "text"),
    [
        ([3], [], 0, "consumed 3 of 2"),
        ([2], [{**ONE, "item": 1}], None, "belongs to item 1 of 1"),
        ([1], [ONE], 0, "outside the 1 consumed"),
        ([2], [{**ONE, "start": 2, "end": 1}], 0, "outside the 2 consumed"),
        ([2], [{**ONE, "kind": 3}], 0, "kind 3"),
        ([2], [{**ONE, "flags": 8}], 0, "flags 8"),
        ([2], [{**ONE, "flags": 2}], 0, "error flag"),
        ([2], [{**ONE, "start": 1}, ONE], 0, "behind a later one"),
        ([2], [{**ONE, "fields": [(8, 0, 1)]}], 0, "not one of the manifest's 8"),
        ([2], [{**ONE, "fields": [(0, 0, 1)]}], 0, "declared string and has type 0"),
        ([2], [{**ONE, "fields": [(1, 0, 1), (1, 0, 2)]}], 0, "appears twice"),
        ([2], [{**ONE, "fields": [(1, 8, 1)]}], 0, "has type 8"),
        ([2], [{**ONE, "fields": [(0, 3, 1 | 2 << 32)]}], 0, "ends outside its 2 bytes"),
        ([2], [{**ONE, "fields": [(0, 4, 0xFFFFFFFF | 0xFFFFFFFF << 32)]}], 0, "ends outside its 0 bytes"),
        ([2], [{**ONE, "fields": [(0, 4, b"\xff")]}], 0, "codec can't decode"),
        ([2], [{**ONE, "fields": [(2, 1, 0x7FF8 << 48)]}], 0, "not a finite number"),
        ([2], [{**ONE, "fields": [(3, 2, 2)]}], 0, "not a bool"),
        ([2], [{**ONE, "fields": [(5, 7, b"[1]")]}], 0, "field 5"),
        ([2], [{**ONE, "fields": [(5, 7, b"[" * 100_000)]}], 0, "field 5"),
        ([2], [{**ONE, "fields": [(ERROR_FIELD, 4, b"x")]}], 0, "error flag"),
    ],
)
def test_a_wrong_result_names_the_item(consumed: list[int], messages: list[Any], item: int | None, text: str) -> None:
    with pytest.raises(FrameError, match=text) as caught:
        decode(dissect_result(consumed, messages), [b"ab"])
    assert caught.value.item == item


def test_a_small_result_cannot_stand_for_gigabytes() -> None:
    text = b"x" * (4 << 20)
    fields = [(0, 4, len(text) << 32)]
    messages = [{**ONE, "fields": fields} for _ in range(100)]
    with pytest.raises(FrameError, match="texts of more than") as caught:
        decode(dissect_result([2], [{**ONE, "fields": [(0, 4, text)]}, *messages]), [b"ab"])
    assert caught.value.item == 0
    shared = bytearray(dissect_result([2], [{**ONE, "fields": [(1, 0, 1)]}, ONE]))
    at = 32 + 8 + 32
    struct.pack_into("<H", shared, at + 6, 1)  # the second message claims the first one's field
    struct.pack_into("<I", shared, at + 24, 0)
    with pytest.raises(FrameError, match="has fields 0"):
        decode(bytes(shared), [b"ab"])


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (0, b"KSB1", "magic"),
        (4, b"\x02\x00", "ABI 2"),
        (6, b"\x03\x00", "hook 3"),
        (8, b"\x02\x00\x00\x00", "2 items, not 1"),
        (12, b"\xff\xff\xff\xff", "messages of .* ends outside"),
        (24, b"\x00\x00\x00\x00", "says 0 bytes"),
        (28, b"\x01\x00\x00\x00", "reserved"),
    ],
)
def test_a_wrong_header_is_refused(at: int, value: bytes, text: str) -> None:
    result = bytearray(dissect_result([2], [ONE]))
    result[at : at + len(value)] = value
    with pytest.raises(FrameError, match=text) as caught:
        decode(bytes(result), [b"ab"])
    assert caught.value.item is None


def answers(hook: int, *values: int) -> memoryview:
    return memoryview(pad(header(hook, len(values), 0, 0, 0, 32 + len(pad(bytes(values)))) + bytes(values)))


def test_answers_of_probe_and_filter() -> None:
    assert decode_probe(answers(PROBE, 0, 1, 2), 3) == [Verdict.NOT_MINE, Verdict.MINE, Verdict.NEED_MORE]
    assert decode_filter(answers(FILTER, 0, 1, 2), 3) == [False, True, None]
    with pytest.raises(FrameError, match="answer 3") as caught:
        decode_filter(answers(FILTER, 1, 3), 2)
    assert caught.value.item == 1
    with pytest.raises(FrameError, match="ends outside"):
        decode_probe(memoryview(header(PROBE, 9, 0, 0, 0, 32)), 9)


def test_render_texts() -> None:
    spans, heap = struct.pack("<IIII", 0, 2, 2, 0), b"{}"
    data = memoryview(header(RENDER, 2, 0, 0, 2, 32 + 16 + 8) + spans + pad(heap))
    assert decode_render(data, 2) == [b"{}", b""]
    wrong = memoryview(header(RENDER, 2, 0, 0, 2, 32 + 16 + 8) + struct.pack("<IIII", 0, 2, 2, 1) + pad(heap))
    with pytest.raises(FrameError, match="outside the heap") as caught:
        decode_render(wrong, 2)
    assert caught.value.item == 1


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_mutated_results_raise_nothing_but_frame_error(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    fields = [(0, 4, b"text"), (1, 0, 5), (5, 7, b'["a"]'), (4, 6, 1 | 1 << 32)]
    result = bytearray(dissect_result([4, 4], [{"item": i, "start": 0, "end": 4, "fields": fields} for i in (0, 1)]))
    for _ in range(changes):
        at = chance.randrange(len(result))
        result[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    if chance.random() < 0.3:
        del result[chance.randrange(len(result)) :]
        struct.pack_into("<I", result, 24, len(result)) if len(result) > 28 else None
    for hook_decoder in (decode_probe, decode_filter, decode_render):
        with pytest.raises(FrameError):
            hook_decoder(memoryview(result), 2)
    try:
        decoded = decode(bytes(result), [b"abcd", b"efgh"])
    except FrameError:
        return
    assert len(decoded.consumed) == 2
    assert all(0 <= message.start <= message.end <= 4 for message in decoded.messages)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_frame_error(data: bytes) -> None:
    for result in (data, header(DISSECT, 1, len(data) % 3, len(data) % 5, len(data) % 7, 32 + len(data)) + data):
        with suppress(FrameError):
            decode(result, [b"ab"])
