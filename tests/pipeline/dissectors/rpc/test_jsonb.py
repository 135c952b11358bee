"""fastjson2's binary JSON: values as its own writer (2.0.57) writes them."""

from __future__ import annotations

import contextlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.rpc._hessian2 import Malformed
from kubeshark.pipeline.dissectors.rpc._jsonb import Jsonb

VALUES: dict[str, Any] = {
    "af": None,
    "b1": True,
    "b0": False,
    "00": 0,
    "ff": -1,
    "f0": -16,
    "2f": 47,
    "3830": 48,
    "37ef": -17,
    "3fff": 2047,
    "3000": -2048,
    "440800": 2048,
    "400000": -262144,
    "47ffff": 262143,
    "4800040000": 262144,
    "48fffb6c20": -300000,
    "e0": 0,
    "d8": -8,
    "ef": 15,
    "d010": 16,
    "cff7": -9,
    "c40800": 2048,
    "c00000": -262144,
    "bf00040000": 262144,
    "be0000010000000000": 1 << 40,
    "b3": 1.0,
    "b2": 0.0,
    "b54004000000000000": 2.5,
    "b4d064": 100.0,
    "b73fc00000": 1.5,
    "b603": 3.0,
    "49": "",
    "4e68656c6c6f": "hello",
    "793830" + "79" * 48: "y" * 48,
    "4ae9": "é",
    "7c06e5652c679e8a": "日本語",
    "ac6553f100": {"date": 1700000000000},
    "ab0000018bcfe5687b": {"date": 1700000000123},
    "aebf6553f100480754d4c0": {"date": 1700000000123},
    "924b5b420091030102ff": "base64:AQL/",
    "924b5b4900960102": [1, 2],
    "92505b537472696e6700964a614a62": ["a", "b"],
    "a403010203": [1, 2, 3],
    "b8e1": 1,
    "b9023cd2": "1234e-2",
    "bb09056bc75e2d630fffff": "99999999999999999999",
    "903863": "c",
    "bc0005": 5,
    "bd06": 6,
    "a907e80102": "2024-01-02",
    "a701020300": "01:02:03",
    "a807e8010203040500": "2024-01-02T03:04:05",
    "aa07e80102030405064c555443": "2024-01-02T03:04:05 UTC",
    "a64a6b01a5": {"k": 1},
    "a60102a5": {"1": 2},
}
SHOP = "924d73686f7000a67f4d6e616d65014d706561727f4d6e65787402a67f014d6c696d65a57f4d6261636b03934b2e2ea5"


def read(data: bytes) -> Any:
    reader = Jsonb(pack(">I", len(data)) + data)
    found = reader.value()
    assert reader.is_done
    return found


@pytest.mark.parametrize("data", VALUES)
def test_value(data: str) -> None:
    assert read(bytes.fromhex(data)) == VALUES[data]


def test_names_are_written_once() -> None:
    assert read(bytes.fromhex(SHOP)) == {
        "class": "shop",
        "name": "pear",
        "next": {"name": "lime"},
        "back": "<reference ..>",
    }


@pytest.mark.parametrize("data", [data for data in VALUES if len(data) > 2])
def test_every_cut(data: str) -> None:
    whole = bytes.fromhex(data)
    for cut in range(len(whole)):
        with pytest.raises(Malformed):
            Jsonb(pack(">I", cut) + whole[:cut]).value()


@pytest.mark.parametrize(
    "data",
    ["95" * 40, "a447ffff", "a5", "7947ffff", "aeb1", "9295", "b8b1", "91ff"],
    ids=["depth", "count", "end", "text", "moment", "type", "decimal", "length"],
)
def test_what_cannot_be(data: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(data))


def test_length_beyond_the_end() -> None:
    with pytest.raises(Malformed, match="a value of 9 bytes"):
        Jsonb(pack(">I", 9) + b"\0").value()


def test_texts() -> None:
    reader = Jsonb(pack(">IBIBI2s", 1, 0xAF, 1, 5, 2, b"\x4aa"))
    assert [reader.text() for _ in range(3)] == ["", "5", "a"]


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    reader = Jsonb(pack(">I", len(data)) + data + data)
    with contextlib.suppress(Malformed):
        while not reader.is_done:
            reader.value()
    assert 0 <= reader.at <= len(reader.data)
