"""One plugin's process, from the fork to its end: prepare, confine, load, seal, then answer batches.

Control messages (SOCK_SEQPACKET, both directions one struct each) go over a socket, frames through shared memory: the
request at 0, read-only here, the result behind it. What the plugin asks for goes over a third way, `_asking.py`.
"""

from __future__ import annotations

import mmap
import socket
import struct
from importlib import import_module
from pathlib import Path

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts._asking import Asker
from kubeshark.hosts._instance import Instance, InstanceError
from kubeshark.hosts._sandbox import confine, seal

__all__ = ["ANSWER", "COMMAND", "FAILED", "OK", "serve"]

COMMAND = struct.Struct("<II")  # hook, bytes of the request
ANSWER = struct.Struct("<II")  # status, bytes of the result (or the hook bitmap); a FAILED answer's text follows
OK, FAILED = 0, 1
MAX_TEXT = 400


def serve(
    folder: str, module: str, memory_mb: int, compiled: str, control: socket.socket, memory: int, asker: Asker
) -> None:
    """Run the plugin in `folder` until the control socket closes."""
    # Mapped now: later the descriptor cannot even be looked at, and the address space is full.
    request = memoryview(mmap.mmap(memory, REQUEST_BYTES, prot=mmap.PROT_READ))
    result = memoryview(mmap.mmap(memory, RESULT_BYTES, offset=REQUEST_BYTES))
    try:
        instance = _load(Path(folder), module, memory_mb, Path(compiled) if compiled else None, asker, result)
    except Exception as error:  # noqa: BLE001 (whatever a runtime raises, the user is told; the process ends here)
        _say(control, FAILED, 0, _reason(error))
        return
    _say(control, OK, instance.hooks & 0xFFFFFFFF, "")
    _answer(instance, control, request, result, asker)


def _load(folder: Path, name: str, memory_mb: int, compiled: Path | None, asker: Asker, result: memoryview) -> Instance:
    manifest = read_manifest(folder)
    module = import_module(name)
    prepared = module.prepare(folder, manifest, compiled) if compiled else module.prepare(folder, manifest)
    watch = getattr(module, "watch_loading", None)
    if watch:
        watch(result)
    confine(module.SANDBOX, memory_mb)
    instance: Instance = module.open_instance(prepared, manifest)
    connect = getattr(instance, "connect", None)  # a language may do without
    if connect:
        connect(asker)
    seal(module.SANDBOX)
    return instance


def _answer(instance: Instance, control: socket.socket, request: memoryview, result: memoryview, asker: Asker) -> None:
    while command := control.recv(COMMAND.size):
        hook, length = COMMAND.unpack(command)
        asker.hook = hook
        try:
            written = instance.call(hook, request[:length], result)
        except Exception as error:  # noqa: BLE001 (as above)
            _say(control, FAILED, 0, _reason(error))
            return
        if not 0 < written <= RESULT_BYTES:
            _say(control, FAILED, 0, f"claims a result of {written:,} bytes")
            return
        control.send(ANSWER.pack(OK, written))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, InstanceError | KubesharkError) else f"{type(error).__name__}: {error}"


def _say(control: socket.socket, status: int, value: int, text: str) -> None:
    control.send(ANSWER.pack(status, value) + text.encode("utf-8", "replace")[:MAX_TEXT])
