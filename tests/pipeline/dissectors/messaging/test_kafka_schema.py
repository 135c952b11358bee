"""The notation of Kafka's schemas, the tables in it, and reading by them."""

from __future__ import annotations

import contextlib
import re
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.messaging import _kafka_schema as schema
from kubeshark.pipeline.dissectors.messaging._kafka_apis_0 import APIS as FIRST
from kubeshark.pipeline.dissectors.messaging._kafka_apis_35 import APIS as LAST
from kubeshark.pipeline.dissectors.messaging._kafka_cursor import Cursor, Malformed
from kubeshark.pipeline.dissectors.messaging._kafka_schema import api_of, read_body

KEYS = range(93)


def read(data: bytes, key: int, version: int, *, is_response: bool = False) -> tuple[dict[str, Any], Cursor]:
    cursor, found = Cursor(data, 0, len(data)), dict[str, Any]()
    assert read_body(cursor, key, version, found, is_response=is_response)
    assert cursor.at == len(data)
    return found, cursor


@pytest.mark.parametrize("key", KEYS)
def test_every_version_of_every_api_has_a_reader(key: int) -> None:
    api = api_of(key)
    assert api is not None
    assert api.key == key
    for version in range(api.oldest, api.newest + 1):
        for is_response in (False, True):
            cursor = Cursor(b"", 0, 0)
            with contextlib.suppress(Malformed):
                assert read_body(cursor, key, version, {}, is_response=is_response)
    assert not read_body(Cursor(b"", 0, 0), key, api.newest + 1, {}, is_response=False)


def test_the_tables_hold_nothing_that_is_not_read() -> None:
    heads = re.findall(r"^\d+ \w+ .*$", FIRST + LAST, re.MULTILINE)
    assert [int(head.split()[0]) for head in heads] == list(KEYS)
    assert api_of(len(KEYS)) is None


@pytest.mark.parametrize("key", KEYS)
def test_no_version_has_two_fields_of_one_name(key: int) -> None:
    api = api_of(key)
    assert api is not None

    def check(fields: tuple[schema.Field, ...], version: int) -> None:
        present = [field for field in fields if field.since <= version <= field.until]
        assert len({field.name for field in present}) == len(present)
        for field in present:
            check((field.type.element or field.type).fields, version)

    for version in range(api.oldest, api.newest + 1):
        for listed in (api.request, api.response):
            check(schema.parse_fields(listed), version)


def test_plain_version() -> None:
    body = pack(">i", 1) + b"\0\x03abc" + pack(">i", 1) + pack(">ihqq", 0, 6, 42, 9)
    found, cursor = read(body, 2, 1, is_response=True)
    assert found == {
        "topics": [{"name": "abc", "partitions": [{"partitionIndex": 0, "errorCode": 6, "timestamp": 42, "offset": 9}]}]
    }
    assert (cursor.error, list(cursor.topics)) == (6, ["abc"])


def test_flexible_version_with_unknown_and_known_tags() -> None:
    body = (
        pack(">iii", 500, 1, 99)
        + b"\0"
        + pack(">ii", 0, -1)
        + b"\x01"
        + b"\x01"
        + b"\x01"
        + b"\x02"
        + b"\x00\x02\x02c"
        + b"\x63\x03xyz"
    )
    found, _ = read(body, 1, 15)
    assert (found["clusterID"], found["maxBytes"], found["topics"]) == ("c", 99, [])


def test_null_struct() -> None:
    head = pack(">ih", 0, 0) + b"\0\0" + pack(">ii", 1, 5)
    found, _ = read(head + b"\xff" + b"\0", 68, 0, is_response=True)
    assert found["assignment"] is None
    found, _ = read(head + b"\x01" + b"\x01\0" + b"\0", 68, 0, is_response=True)
    assert found["assignment"] == {"topicPartitions": []}


def test_damage_keeps_what_came_before() -> None:
    found: dict[str, Any] = {}
    with pytest.raises(Malformed, match="bytes expected"):
        read_body(Cursor(pack(">i", 1) + b"\0\x03ab", 0, 8), 3, 1, found, is_response=False)
    assert found == {"topics": [{}]}


def test_elements_are_bounded() -> None:
    data = pack(">i", 60_000) + b"\0\0" * 60_000
    with pytest.raises(Malformed, match="more than 50000 elements"):
        read_body(Cursor(data, 0, len(data)), 3, 0, {}, is_response=False)


@pytest.mark.parametrize("data", [b"\xff" * 5, b"\xff" * 4 + b"\x7f", b"\x80"], ids=["endless", "huge", "cut"])
def test_lengths_that_cannot_be(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_body(Cursor(data, 0, len(data)), 3, 12, {}, is_response=False)


def test_group_metadata_that_is_not_the_consumer_protocol() -> None:
    data = b"\0\x01g" + pack(">i", 10) + b"\0\0" + pack(">h", 7) + b"connect" + pack(">i", 1)
    data += b"\0\x07default" + pack(">i", 6) + b"\x7fodd!!"
    found, _ = read(data, 11, 0)
    assert found["protocols"][0]["metadata"] == "\x7fodd!!"


@given(st.sampled_from(KEYS), st.integers(0, 18), st.booleans(), st.binary(max_size=200))
def test_any_bytes(key: int, version: int, is_response: bool, data: bytes) -> None:
    cursor = Cursor(data, 0, len(data))
    with contextlib.suppress(Malformed):
        read_body(cursor, key, version, {}, is_response=is_response)
    assert 0 <= cursor.at <= len(data)
