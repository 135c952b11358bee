"""The fast calls and wasmtime-py's own give the same results and the same traps."""

from __future__ import annotations

import pytest
from wasmtime import Instance, Module, Store, Trap

from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts.go import _calls
from kubeshark.hosts.go._calls import bind
from kubeshark.hosts.go._engine import new_engine

TEXT = """(module
  (func (export "ks_call") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
  (func (export "ks_out") (result i32) unreachable)
  (func (export "ks_abi") (param i64) (result i32) i32.const 1))"""


@pytest.fixture(params=["fast", "public"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise AttributeError("another version")

    if request.param == "public":
        monkeypatch.setattr(_calls, "_unchecked", missing)


def test_calls(way: None) -> None:
    engine = new_engine()
    store = Store(engine)
    exports = Instance(store, Module(engine, TEXT), []).exports(store)
    call = bind(store, "ks_call", exports["ks_call"])
    assert call(7, 5) == 2
    assert call(5, 7) == 0xFFFFFFFE  # results are unsigned
    with pytest.raises(Trap, match="unreachable"):
        bind(store, "ks_out", exports["ks_out"])()
    with pytest.raises(InstanceError, match="another type"):
        bind(store, "ks_abi", exports["ks_abi"])
    with pytest.raises(InstanceError, match="not a function"):
        bind(store, "ks_hooks", None)
