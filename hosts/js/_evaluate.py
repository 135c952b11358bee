"""Evaluates in mini-racer with a time limit, 4 times faster than `MiniRacer.eval(timeout_sec=…)`.

That one starts an asyncio task in another thread for each call (0.3 ms against 0.09; a batch of 256 takes 0.4).
Here the calling thread waits for V8 itself. That uses private names of mini-racer: where they are missing, the public
way is taken.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from py_mini_racer import JSTimeoutException, MiniRacer

__all__ = ["evaluate"]

_UNTRACKED = 0  # mini-racer's number for "put the result into the queue"
_CANCEL_SECONDS = 5.0  # V8 stops at the next loop iteration or call; a regular expression at its next back-track


_LEAST_WAIT_S, _MOST_WAIT_S = 50e-6, 1e-3  # between two looks at what a script may ask for


def evaluate(engine: MiniRacer, code: str, seconds: float, serve: Callable[[], float] | None = None) -> Any:
    """Return the value of `code`; raise a JSEvalException, which JSTimeoutException is one of.

    `serve`, if given, is called again and again meanwhile; what it returns, in seconds, is added to the time limit.
    """
    context: Any = engine._ctx
    try:
        library, results = context._dll, context._non_cancelable_mr_task_results_queue
        convert, handle = context._value_handle_to_python, context._python_to_value_handle(code)
        start, cancel, raw = library.mr_eval, library.mr_cancel_task, context._ctx
    except AttributeError:
        if serve:
            return _evaluate_aside(engine, code, seconds, serve)
        return engine.eval(code, timeout_sec=seconds)
    task = start(raw, handle.raw, _UNTRACKED)
    try:
        return convert(_get(results, seconds, serve) if serve else results.get(timeout=seconds))
    except queue.Empty:
        cancel(raw, task)
        with suppress(queue.Empty):  # the caller closes the isolate in either case
            results.get(timeout=_CANCEL_SECONDS)
        raise JSTimeoutException from None


def _get(results: Any, seconds: float, serve: Callable[[], float]) -> Any:
    """Return the next result; queue.Empty when the time is over."""
    deadline = time.monotonic() + seconds
    wait = _LEAST_WAIT_S
    while True:
        with suppress(queue.Empty):
            return results.get(timeout=wait)
        served = serve()
        deadline += served
        wait = _LEAST_WAIT_S if served else min(2 * wait, _MOST_WAIT_S)
        if time.monotonic() > deadline:
            raise queue.Empty


def _evaluate_aside(engine: MiniRacer, code: str, seconds: float, serve: Callable[[], float]) -> Any:
    """The public way with `serve`: V8's time is then not lengthened by what was served."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((engine.eval(code, timeout_sec=seconds), None))
        except BaseException as error:  # noqa: BLE001 (raised again by who waits)
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = _get(results, seconds + _CANCEL_SECONDS, serve)
    except queue.Empty:
        raise JSTimeoutException from None
    if error is not None:
        raise error
    return value
