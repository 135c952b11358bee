"""The process of one isolate of scripts, from the fork to its end: like `hosts/_child.py`, with questions to the host.

The host sends COMMAND (milliseconds allowed, bytes of the request). The child answers with ANSWER: OK and the bytes of
the result; FAILED and a text, and ends; or ASK and the bytes of a question in the result area, whose answer comes as
the next COMMAND in the request area.
"""

from __future__ import annotations

import mmap
import socket

from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.hosts._child import ANSWER, COMMAND, FAILED, MAX_TEXT, OK
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import confine, seal
from kubeshark.hosts.js.scripts._instance import SANDBOX, ScriptIsolate, prepare

__all__ = ["ASK", "serve"]

ASK = 2


def serve(memory_mb: int, control: socket.socket, memory: int) -> None:
    """Run scripts until the control socket closes."""
    request = memoryview(mmap.mmap(memory, REQUEST_BYTES, prot=mmap.PROT_READ))
    result = memoryview(mmap.mmap(memory, RESULT_BYTES, offset=REQUEST_BYTES))

    def ask(question: bytes) -> bytes:
        result[: len(question)] = question
        control.send(ANSWER.pack(ASK, len(question)))
        command = control.recv(COMMAND.size)
        if not command:
            raise InstanceError("the host is gone")
        return bytes(request[: COMMAND.unpack(command)[1]])

    try:
        engine, shim = prepare()
        confine(SANDBOX, memory_mb)
        isolate = ScriptIsolate(engine, shim, ask)
        seal(SANDBOX)
    except Exception as error:  # noqa: BLE001 (whatever a runtime raises, the user is told; the process ends here)
        _fail(control, error)
        return
    control.send(ANSWER.pack(OK, 0))
    while command := control.recv(COMMAND.size):
        milliseconds, length = COMMAND.unpack(command)
        try:
            answer = isolate.call(request[:length], milliseconds / 1000)
        except Exception as error:  # noqa: BLE001 (as above)
            _fail(control, error)
            return
        result[: len(answer)] = answer
        control.send(ANSWER.pack(OK, len(answer)))


def _fail(control: socket.socket, error: Exception) -> None:
    text = str(error) if isinstance(error, InstanceError) else f"{type(error).__name__}: {error}"
    control.send(ANSWER.pack(FAILED, 0) + text.encode("utf-8", "replace")[:MAX_TEXT])
