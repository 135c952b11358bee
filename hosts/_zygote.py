"""The zygote: a clean process that forks one child per plugin.

It is exec'ed, never forked, by the embedding process, with an empty environment and one inherited descriptor: what
the embedding process knows (keys above all) was never in its memory, nor in any child's. It has one thread, runs no
plugin code, and ends when the embedding process does; its children end with it.

Requests and replies are JSON over SOCK_SEQPACKET: `start` (with descriptors: control socket, shared memory, perhaps a
channel to the broker) forks and gives a process id; `end` kills a child, however it fares, and gives its wait status.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Any, NoReturn

from kubeshark.hosts._asking import Asker
from kubeshark.hosts._child import serve
from kubeshark.hosts._sandbox import die_with_parent

__all__ = ["MAX_REQUEST", "main"]

MAX_REQUEST = 64 << 10
SCRIPTS = "kubeshark.hosts.js.scripts._serve"
"""What Kubeshark's scripts run in: they are loaded by messages and have no folder."""

CHILD_FAILED = 70  # EX_SOFTWARE: an exception that we do not know left the child


def main(descriptor: int) -> None:
    """Serve requests from the socket with this number until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=descriptor)
    children: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST, 3)
        if not message:
            break
        request = json.loads(message)
        reply: dict[str, Any]
        if request["do"] == "end":
            reply = {"status": _end(request["pid"], children)}
        else:
            try:
                pid = _start(request, channel, *descriptors)
            except Exception as error:  # noqa: BLE001 (a language that cannot be imported must not end the others)
                reply = {"error": " ".join(str(error).split())[:1000] or type(error).__name__}
            else:
                children.add(pid)
                reply = {"pid": pid}
        for number in descriptors:
            os.close(number)
        channel.send(json.dumps(reply).encode())
    for pid in list(children):
        _end(pid, children)


def _start(request: dict[str, Any], channel: socket.socket, control: int, memory: int, broker: int = -1) -> int:
    # Imported here, once, so that every later child starts with the module in memory.
    import_module(request["module"])
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        channel.close()
        _run_child(parent, request, control, memory, broker)
    return pid


def _run_child(parent: int, request: dict[str, Any], control: int, memory: int, broker: int) -> NoReturn:
    """Never return, whatever happens: a child that escaped into the zygote's loop would be a second zygote."""
    status = CHILD_FAILED
    try:
        die_with_parent(parent)
        control_socket = socket.socket(fileno=control)
        os.environ.update(request["environment"])
        if request["module"] == SCRIPTS:
            from kubeshark.hosts.js.scripts._serve import serve as serve_scripts  # in memory: `_start` imported it

            serve_scripts(request["memory_mb"], control_socket, memory)
        else:
            asker = Asker(socket.socket(fileno=broker) if broker >= 0 else None, request["asks_in"])
            serve(
                request["folder"],
                request["module"],
                request["memory_mb"],
                request["compiled"],
                control_socket,
                memory,
                asker,
            )
        status = 0
    finally:
        os._exit(status)


def _end(pid: int, children: set[int]) -> int:
    """Kill and reap: a process that ended by itself keeps its own status."""
    if pid not in children:
        return 0
    children.discard(pid)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    main(int(sys.argv[1]))
