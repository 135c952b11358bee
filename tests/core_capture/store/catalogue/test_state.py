"""store.json: what it says, and what it may not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.core_capture.store.catalogue._state import ChainHead, StoreState, load_state, save_state
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.errors import Damaged, StoreError


def test_round_trip(tmp_path: Path) -> None:
    assert load_state(LocalBackend(tmp_path)) == StoreState()
    state = StoreState(["age1x"], 7, {"ab": ChainHead("20231114T221320Z-n-0001", 3, "cd")})
    save_state(LocalBackend(tmp_path), state)
    assert load_state(LocalBackend(tmp_path)) == state
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
        load_state(LocalBackend(tmp_path))


def test_a_state_that_nobody_would_read_is_not_written(tmp_path: Path) -> None:
    save_state(LocalBackend(tmp_path), StoreState(["age1x"]))
    with pytest.raises(StoreError, match="larger than"):
        save_state(LocalBackend(tmp_path), StoreState(deleting=["x" * 1000] * 2000))
    assert load_state(LocalBackend(tmp_path)).recipients == ["age1x"]


@pytest.mark.parametrize(
    "extra",
    [
        {"removed": [{"why": "stolen"}]},
        {
            "removed": [
                {
                    "why": "pruned",
                    "key": "zz",
                    "first": 0,
                    "last": 0,
                    "previous": "",
                    "sha256": "",
                    "when": "",
                    "by": "",
                }
            ]
        },
        {"deleting": [1]},
        {"rotation": {"recipients": "x"}},
        {"rotation": {"recipients": [], "header": "x"}},
    ],
    ids=["removed", "removed-key", "deleting", "rotation", "rotation-header"],
)
def test_what_is_no_life(extra: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps(extra))
    with pytest.raises(Damaged):
        load_state(LocalBackend(tmp_path))


def test_names_in_it_never_leave_the_folder(tmp_path: Path) -> None:
    """Anybody who writes to the folder may change it."""
    from kubeshark.core_capture.store.upkeep._leftovers import clear_leftovers

    outside = tmp_path / "x.idx.age"
    outside.write_bytes(b"")
    store = tmp_path / "store"
    store.mkdir()
    (store / ".tmp-x").write_bytes(b"")
    state = StoreState(deleting=["../x", "x"], heads={"ab": ChainHead("../x", 0, "")})
    clear_leftovers(LocalBackend(store), state)
    assert outside.exists()
    assert state.deleting == []
