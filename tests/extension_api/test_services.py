"""The bytes of requests and answers, and that the SDKs know every service."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kubeshark.extension_api
from kubeshark.extension_api._services import MAX_MESSAGE, SERVICE_HOOK_BITS, SERVICES, MessageError, pack, unpack

SDK = Path(kubeshark.extension_api.__file__).parent / "sdk"


@given(st.integers(0, 2**32 - 1), st.lists(st.binary(max_size=50), max_size=20))
def test_what_is_packed_is_unpacked(code: int, parts: list[bytes]) -> None:
    assert unpack(pack(code, parts)) == (code, parts)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        code, parts = unpack(data)
    except MessageError:
        return
    assert pack(code, parts) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0\0\0\0\xff\xff\xff\xff",
        b"\0\0\0\0\1\0\0\0\xff\xff\xff\xff",
        pack(0, [b"x"]) + b"y",
        bytes(MAX_MESSAGE + 1),
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(data)


def test_hot_hooks_cannot_ask() -> None:
    assert SERVICE_HOOK_BITS == 1 << 2 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12


def test_every_sdk_has_every_service() -> None:
    texts = ["\n".join(path.read_text() for path in sorted((SDK / part).glob("*.*"))) for part in ("js", "c", "go")]
    for service in SERVICES:
        assert all(f'"{service.name}"' in text for text in texts), service.name
