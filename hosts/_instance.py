"""What a language host offers inside the sandboxed child: one loaded plugin, called with frames.

`hosts/<language>/_instance.py` has the same three names in every language:

* `SANDBOX`: the `Profile` (hosts/_sandbox.py) of this runtime.
* `prepare(folder, manifest) -> Prepared`: before the sandbox is up, with the rights of whoever started us. Reads the
  entry artefact and initialises the runtime (V8, wasmtime); runs not one instruction of the plugin.
* `open_instance(prepared, manifest) -> Instance`: in the sandbox. Loads the plugin; its constructors run here.

Importing the module happens in the zygote, once for all children: it must start no thread and open nothing for good.
From `open_instance` on no file can be opened, so nothing may be imported lazily.
"""

from __future__ import annotations

from typing import Protocol

from kubeshark.hosts._asking import Asker

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
        ...

    def connect(self, asker: Asker) -> None:
        """Take the way to ask the broker; called once, before the first call. A language may lack this method."""
        ...

    def close(self) -> None:
        """Free the plugin; twice is fine."""
