"""store.json: what it says, and what it may not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.core_capture.store._state import ChainHead, StoreState, load_state, save_state
from kubeshark.errors import Damaged


def test_round_trip(tmp_path: Path) -> None:
    assert load_state(tmp_path) == StoreState()
    state = StoreState(["age1x"], 7, {"ab": ChainHead("20231114T221320Z-n-0001", 3, "cd")})
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == ["store.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"next_number":0}',
        b'{"next_number":"1"}',
        b'{"format":2}',
        b'{"heads":{"ab":{}}}',
        b"[" * 100_000,
        b"\xff",
        json.dumps({"recipients": ["x" * (1 << 20)]}).encode(),
    ],
)
def test_what_is_no_state(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"store\.json"):
        load_state(tmp_path)
