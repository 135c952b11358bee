"""The process that captures for a worker: `python -m kubeshark.worker._capture_child`, started by `_captures.py`.

It reads one JSON document (`Order`) from standard input, says how far it is in lines of JSON (`Capture`) on standard
output, and ends in order at SIGTERM, or when the worker is gone. It has recipients and no identity, and it gives up its
capabilities once the interfaces are open.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

import msgspec

from kubeshark.core_capture.live import LiveOptions, LiveSource, drop_privileges
from kubeshark.core_capture.store import Retention, Store
from kubeshark.errors import KubesharkError
from kubeshark.pipeline import CaptureLimits, CaptureProgress
from kubeshark.pipeline._capture import Capture as Capturing
from kubeshark.worker._governor import memory_of_capture
from kubeshark.worker._status import Capture, Order

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
OUT = 1


def main() -> int:
    """Capture; return the exit code."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != order.parent:
        return 0  # it went before we could ask to be told
    memory = memory_of_capture(order.memory_bytes, len(order.interfaces))
    try:
        source = LiveSource(order.interfaces, LiveOptions(filter=order.bpf, ring_bytes=memory.ring_bytes))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: source.stop())
        drop_privileges()
        store = Store.open(order.store, identities=(), create=True)
        capture = Capturing(
            store,
            order.recipients,
            source,
            limits=CaptureLimits(),
            plugins=None,
            node=order.node,
            segment_seconds=order.segment_seconds,
            segment_bytes=memory.segment_bytes,
            retention=_retention(order),
            on_progress=_tell(order, source),
            on_notice=_complain,
        )
        for problem in capture.run().problems:
            _complain(problem)
    except KubesharkError as error:
        _complain(str(error))
        return error.exit_code
    return 0


def _retention(order: Order) -> Retention | None:
    if order.max_bytes is None and order.max_age_ns is None:
        return None
    return Retention(order.max_bytes, max_age_ns=order.max_age_ns)


def _tell(order: Order, source: LiveSource) -> Callable[[CaptureProgress], None]:
    name = ",".join(order.interfaces)

    def tell(now: CaptureProgress) -> None:
        said = Capture(name, now.received, now.dropped, now.lost, now.acknowledged)
        try:
            os.write(OUT, msgspec.json.encode(said) + b"\n")
        except BrokenPipeError:  # the worker is gone
            source.stop()

    return tell


def _complain(text: str) -> None:
    print(f"kubeshark: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the worker's standard error


if __name__ == "__main__":
    raise SystemExit(main())
