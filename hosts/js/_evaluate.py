"""Evaluates in mini-racer with a time limit, 4 times faster than `MiniRacer.eval(timeout_sec=…)`.

That one starts an asyncio task in another thread for each call (0.3 ms against 0.09; a batch of 256 takes 0.4).
Here the calling thread waits for V8 itself. That uses private names of mini-racer: where they are missing, the public
way is taken.
"""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import Any

from py_mini_racer import JSTimeoutException, MiniRacer

__all__ = ["evaluate"]

_UNTRACKED = 0  # mini-racer's number for "put the result into the queue"
_CANCEL_SECONDS = 5.0  # V8 stops at the next loop iteration or call; a regular expression at its next back-track


def evaluate(engine: MiniRacer, code: str, seconds: float) -> Any:
    """Return the value of `code`; raise a JSEvalException, which JSTimeoutException is one of."""
    context: Any = engine._ctx
    try:
        library, results = context._dll, context._non_cancelable_mr_task_results_queue
        convert, handle = context._value_handle_to_python, context._python_to_value_handle(code)
        start, cancel, raw = library.mr_eval, library.mr_cancel_task, context._ctx
    except AttributeError:
        return engine.eval(code, timeout_sec=seconds)
    task = start(raw, handle.raw, _UNTRACKED)
    try:
        return convert(results.get(timeout=seconds))
    except queue.Empty:
        cancel(raw, task)
        with suppress(queue.Empty):  # the caller closes the isolate in either case
            results.get(timeout=_CANCEL_SECONDS)
        raise JSTimeoutException from None
