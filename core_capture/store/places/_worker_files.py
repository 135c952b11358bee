"""The store of a worker, over the network: a store that is read as any other, and written by nobody but the worker."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NoReturn

from kubeshark.core_capture.store.places._backend import Lock
from kubeshark.core_capture.store.places._remote import RemoteFiles
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.places._worker_client import WorkerClient
from kubeshark.errors import StoreError

__all__ = ["WorkerBackend"]


class WorkerBackend(RemoteFiles):
    """The files of a worker. Everything that writes raises StoreError."""

    look_s = 0.25  # it answers that nothing changed in a few bytes

    def __init__(self, url: str, tls: TlsFiles | None = None) -> None:
        self.tls = tls or TlsFiles.in_folder()
        self.client = WorkerClient(url, self.tls)
        super().__init__(self.client)

    def __del__(self) -> None:  # stores are not closed: their connections end with them
        if hasattr(self, "client"):
            self.client.close()

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:  # noqa: ARG002 - nothing is written here
        self._refuse()

    def sync(self, temporary: str) -> None:  # noqa: ARG002
        self._refuse()

    def publish(self, temporary: str, name: str, *, replacing: bool = False) -> None:  # noqa: ARG002
        self._refuse()

    def settle(self) -> None:
        self._refuse()

    def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:  # noqa: ARG002
        self._refuse()

    def delete(self, name: str) -> None:  # noqa: ARG002
        self._refuse()

    def lock(self, name: str) -> Lock:  # noqa: ARG002
        self._refuse()

    def contains(self, path: Path) -> bool:  # noqa: ARG002 - nothing of this machine does
        return False

    def _refuse(self) -> NoReturn:
        raise StoreError(
            f"the store at {self.location} is its worker's", hint="run the command on that machine: it can only be read"
        )
