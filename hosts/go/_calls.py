"""Calls into a WebAssembly instance in 2 µs instead of wasmtime-py's 11 to 21.

`Func.__call__` asks for the function's type and converts every value on each call. Here the type is checked once, then
wasmtime's own C function is called as `Func.__call__` does it. That uses private names of wasmtime-py: where they are
missing, or answer otherwise than the public way, the public way is taken.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress

from wasmtime import Func, Store, WasmtimeError

from kubeshark.hosts._instance import InstanceError

__all__ = ["EXPORTS", "Call", "bind"]

Call = Callable[..., int]
EXPORTS = {"ks_abi": 0, "ks_hooks": 0, "ks_reserve": 1, "ks_call": 2, "ks_out": 0}
"""Parameters of each export of the batch ABI; all are i32, as is the result."""


def bind(store: Store, name: str, function: object) -> Call:
    """Return a callable for an export of the batch ABI; raise InstanceError unless its type is the ABI's."""
    if not isinstance(function, Func):
        raise InstanceError(f"the module's {name} is not a function: build it with kubeshark's Go SDK")
    kind = function.type(store)
    if [str(each) for each in kind.params] != ["i32"] * EXPORTS[name] or [str(each) for each in kind.results] != [
        "i32"
    ]:
        raise InstanceError(f"the module's {name} has another type than the ABI's: build it with kubeshark's Go SDK")
    with suppress(ImportError, AttributeError, TypeError):
        return _unchecked(store, function, EXPORTS[name])
    return lambda *arguments: int(function(store, *arguments)) & 0xFFFFFFFF


def _unchecked(store: Store, function: Func, parameters: int) -> Call:
    """Safe only for i32 parameters and one i32 result: nothing is converted."""
    from wasmtime import _bindings
    from wasmtime._func import enter_wasm

    values = (_bindings.wasmtime_val_raw_t * max(parameters, 1))()
    call, reference, context = _bindings.wasmtime_func_call_unchecked, ctypes.byref(function._func), store._context()
    from_pointer = WasmtimeError._from_ptr

    def run(*arguments: int) -> int:
        for index, argument in enumerate(arguments):
            values[index].i32 = argument
        with enter_wasm(store) as trap:
            error = call(context, reference, values, len(values), trap)
            if error:
                raise from_pointer(error)
        return int(values[0].i32) & 0xFFFFFFFF

    return run
