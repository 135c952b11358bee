"""How wasmtime is set up: the same for the process that compiles and the one that runs, or the code does not fit."""

from __future__ import annotations

from wasmtime import Config, Engine, _bindings

__all__ = ["MAX_MODULE_BYTES", "SETTINGS", "STACK_BYTES", "new_engine"]

MAX_MODULE_BYTES = 64 << 20  # Go's hello world is 1.5 MiB
STACK_BYTES = 512 << 10  # of WebAssembly frames; Go's own stacks are in linear memory
SETTINGS = "2"  # another number where new_engine makes other native code: what is kept of the old does not fit


def new_engine(*, threads: bool = False) -> Engine:
    """Return an engine; `threads` compiles with several."""
    config = Config()
    config.max_wasm_stack = STACK_BYTES
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.parallel_compilation = threads
    # Images of memory are files in memory, which the sandbox does not let us write; wasmtime-py has no property for it.
    _bindings.wasmtime_config_memory_init_cow_set(config.ptr(), False)
    return Engine(config)
