"""What a language host offers inside the sandboxed child: one loaded plugin, called with frames.

`hosts/<language>/_instance.py` has the same three names in every language:

* `prepare(folder, manifest) -> Prepared`: before the sandbox is up. May read the entry file and initialise the
  language's runtime (V8, wasmtime); must not run or load for execution one byte of the plugin.
* `open_instance(prepared, manifest) -> Instance`: after the sandbox is up. Loads the plugin; its constructors run here.
* `SANDBOX`: a `Profile` (hosts/_sandbox.py): limits and system calls of this runtime beyond the common ones.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Instance", "InstanceError"]


class InstanceError(Exception):
    """A call into the plugin trapped, threw, or answered failure. Caught in the child, which then exits.

    The message is shown to the user: at most one line, no addresses.
    """


class Instance(Protocol):
    """A loaded plugin. Used by one thread of one process; discarded after the first InstanceError."""

    hooks: int  # the plugin's own bitmap: bit n is hook n

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:
        """Give the plugin one request frame; write its result into `out`.

        Return the bytes written, at most len(out). Raise InstanceError for a trap, an exception, a failure code, or a
        result that does not fit. `frame` is exactly the request, `out` the whole result area; both are reused
        by the next call.
        """

    def close(self) -> None:
        """Free the plugin; twice is fine."""
