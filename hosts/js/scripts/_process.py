"""The host's side of one isolate: start its child, give it requests, answer its questions.

What comes back is untrusted: it is decoded into `Answer`, or the child is ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.hosts._child import ANSWER, OK
from kubeshark.hosts._children import Child, ChildError
from kubeshark.hosts.js.scripts import HOOKS
from kubeshark.hosts.js.scripts._serve import ASK

__all__ = ["Answer", "Command", "ScriptChild", "ScriptError"]

MEMORY_MB = 1024  # process data: V8's own limit does not cover ArrayBuffers
LANGUAGE = "script"
START_S = 30.0
MARGIN_S = 8.0  # beyond what the child allows itself
WALL_FACTOR, MOST_WAITING_S = 20, 60.0  # as the child has it
MAX_QUESTIONS = 1_000_000

Command = tuple[str, str, list[Any]]
"""(script, name, arguments) of what a script queued."""


class ScriptError(Exception):
    """The isolate is gone: it took too long, used too much memory, or crashed."""


class Answer(msgspec.Struct):
    """What a call gave."""

    result: Any
    commands: list[Command]
    timer: float | None  # milliseconds until the next timer is due
    errors: dict[str, int]  # calls of hooks that threw, by script
    error: str = ""  # of a script that did not load


class ScriptChild(Child):
    """One isolate. Used by one thread at a time; after a ScriptError it is gone."""

    def __init__(self) -> None:
        try:
            super().__init__(Path("/"), LANGUAGE, MEMORY_MB, START_S)
        except ChildError as error:
            raise ScriptError(error.reason) from None

    def open(self, node: str) -> Answer:
        """Say where the scripts are: `utils.nodeName()`."""
        return self.ask({"do": "open", "node": node}, START_S, _refuse)

    def load(
        self, script: str, title: str, file: str, text: str, env: Mapping[str, str], answer: Callable[..., bytes]
    ) -> Answer:
        """Load a script; `error` of the answer says why it did not, `result` which hooks it has."""
        order = {
            "do": "load",
            "id": script,
            "title": title,
            "file": file,
            "text": text,
            "env": dict(env),
            "hooks": HOOKS,
        }
        return self.ask(order, START_S / 10, answer)

    def ask(self, request: Any, seconds: float, answer: Callable[[bytes], bytes]) -> Answer:
        """Let the shim do what the request says; `answer` gets the script's questions."""
        return self.ask_encoded(ascii_json(request), seconds, answer)

    def ask_encoded(self, data: bytes, seconds: float, answer: Callable[[bytes], bytes]) -> Answer:
        """The same for a request that is JSON in ASCII already."""
        if len(data) > REQUEST_BYTES:
            raise ValueError(f"a request of {len(data):,} bytes")
        self.request[: len(data)] = data
        length = len(data)
        try:
            answered = self._exchange(length, seconds, answer)
            return _decoded(answered)
        except ChildError as error:
            self.end()
            raise ScriptError(error.reason) from None
        except (OSError, ValueError, RecursionError) as error:
            self.end()
            raise ScriptError("ended" if isinstance(error, OSError) else f"answered nonsense: {error}") from None

    def _exchange(self, length: int, seconds: float, answer: Callable[[bytes], bytes]) -> memoryview:
        """Return the result of the request that is written, answering questions until it is there."""
        for _ in range(MAX_QUESTIONS):
            self._control.send(max(1, round(seconds * 1000)), length)
            status, value = self._receive_either(min(seconds * WALL_FACTOR, seconds + MOST_WAITING_S) + MARGIN_S)
            if value > RESULT_BYTES:
                raise ChildError(f"claims a result of {value:,} bytes")
            if status == OK:
                return self.result[:value]
            reply = answer(bytes(self.result[:value]))
            if len(reply) > REQUEST_BYTES:
                reply = b'{"error":"the answer is too large"}'
            self.request[: len(reply)] = reply
            length = len(reply)
        raise ChildError("asks without end")

    def _receive_either(self, seconds: float) -> tuple[int, int]:
        """Return (OK, bytes of the result) or (ASK, bytes of the question)."""
        try:
            answer = self._control.receive(seconds)
        except TimeoutError:
            raise ChildError(f"took longer than {seconds:,.0f} s") from None
        if len(answer) < ANSWER.size:
            raise ChildError(self._end_reason())
        status, value = ANSWER.unpack_from(answer)
        if status in (OK, ASK):
            return int(status), int(value)
        text = answer[ANSWER.size :].decode("utf-8", "replace")
        raise ChildError("".join(char if char.isprintable() else " " for char in text).strip() or "failed")


def _decoded(answered: memoryview) -> Answer:
    """Decode an answer; half a character, which scripts make by cutting a text, is replaced."""
    try:
        return msgspec.json.decode(answered, type=Answer)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = json.dumps(json.loads(bytes(answered)), ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(whole, type=Answer)


def ascii_json(value: Any) -> bytes:
    """Encode for the shim, which reads a character a byte."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _refuse(_question: bytes) -> bytes:
    return b'{"error":"not now"}'
