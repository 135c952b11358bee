"""Workers to ask: one in a thread of this process where that is enough, real ones in processes, and what they need."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubeshark._certificates import issue
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import Identity, SourceInfo, Store
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.worker._app import Service, create_app
from kubeshark.worker._files import Files
from kubeshark.worker._gate import GateServer
from kubeshark.worker._governor import Governor
from kubeshark.worker._server import _listen

COMMAND = (sys.executable, "-m", "kubeshark")


class Pki:
    """Certificates of a cluster, in a folder."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.folder = folder
        issue(folder, hosts)

    def files(self, name: str) -> TlsFiles:
        return TlsFiles.in_folder(self.folder / name)


def make_store(folder: Path, capture: Path, identity: Identity) -> Path:
    store = Store.open(folder, identities=[identity], create=True)
    content = capture.read_bytes()
    with open_capture(capture) as reader:
        digest = hashlib.sha256(content).hexdigest()
        source = SourceInfo(capture.name, sha256=digest, size=len(content), metadata=reader.metadata)
        with store.writer([str(identity.recipient)], source=source) as writer:
            for batch in reader:
                writer.add(batch)
            writer.finish()
    return folder


class Running:
    """A worker in a thread: `service` can be looked at and changed."""

    def __init__(self, url: str, port: int, service: Service) -> None:
        self.url, self.port, self.service = url, port, service


@contextmanager
def in_thread(store: Path, tls: TlsFiles, **options: Any) -> Iterator[Running]:
    """Serve a store as https://localhost."""
    listener = _listen("127.0.0.1", options.pop("port", 0))
    port = listener.getsockname()[1]
    service = Service("node-1", Files(store), options.pop("governor", Governor()), options.get("connections", 64))
    given: dict[str, Any] = {"allowed": ["kubeshark-hub"], "connections": 64, "log": lambda _: None} | options
    server = GateServer(create_app(service), listener, tls, counters=service.counters, **given)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Running(f"https://localhost:{port}", port, service)
    finally:
        server.should_exit = True
        thread.join(30)
        service.files.close()
        assert not thread.is_alive()


class Process:
    """A worker as people start it."""

    def __init__(
        self, store: Path, tls: Path, *, home: Path, listen: str = "127.0.0.1:0", options: Sequence[str] = ()
    ) -> None:
        self.arguments = ("--store", str(store), "--tls", str(tls), "--listen", listen, *options)
        self.home = home
        self.prefix: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self.port = 0

    def start(self) -> None:
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **self.environment}
        self.process = subprocess.Popen(
            [*self.prefix, *COMMAND, "worker", *self.arguments], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"https://\S+:(\d+)", line)
        assert found, line
        self.port = int(found[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=30)

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
