"""An archive: stores of several nodes below one prefix of object storage, each under its node's name, read as one.

Each is a whole store that its node's uploader writes (`_uploader.py`): it can be verified, pruned and opened by itself.
"""

from __future__ import annotations

from kubeshark.core_capture.store.places._names import STATE, is_node
from kubeshark.core_capture.store.places._objects import ObjectBackend
from kubeshark.errors import StoreError

__all__ = ["MAX_NODES", "Archive"]

MAX_NODES = 10_000
"""Prefixes looked at: each costs a listing."""


class Archive:
    """The prefix of an archive; its nodes are what a listing of it finds."""

    def __init__(self, files: ObjectBackend) -> None:
        self.files = files

    @classmethod
    def open(cls, url: str) -> Archive:
        """Open an archive, which may still be empty; raise StoreError."""
        return cls(ObjectBackend(url.rstrip("/")))

    @property
    def is_one(self) -> bool:
        """Say whether there are nodes below and no store here."""
        return STATE not in self.files.names() and bool(self.nodes())

    def nodes(self) -> list[str]:
        """Return the URLs of the nodes' stores; raise StoreError."""
        self.files.names()
        found = sorted(name for name in self.files.client.prefixes if is_node(name))
        if len(found) > MAX_NODES:
            raise StoreError(f"{self.files.location} has more than {MAX_NODES:,} prefixes", hint="name one of them")
        return [f"{self.files.location}/{name}" for name in found]

    def backend(self, url: str) -> ObjectBackend:
        """Return the files of one node."""
        return ObjectBackend(url)
