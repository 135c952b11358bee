"""One sealed segment on object storage for somebody who has no identity: where it lies, and the key of its index alone.

The index holds the key of its data file. So a reference opens just this segment, without a listing, and is a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kubeshark.core_capture.store.places._backend import Found, Requests
from kubeshark.core_capture.store.places._locate import is_object_storage
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, INDEX_SUFFIX
from kubeshark.core_capture.store.places._remote import RemoteFiles
from kubeshark.core_capture.store.segments._reader import IndexFile, SegmentReader
from kubeshark.core_capture.store.writing._unsealed import UnsealedReader

__all__ = ["ReferencedSegments", "SegmentReference", "reference_of"]


@dataclass(frozen=True, slots=True)
class SegmentReference:
    name: str
    url: str  # of its store
    key: bytes = field(repr=False)  # of its index file
    index: Found
    data: Found


def reference_of(reader: SegmentReader) -> SegmentReference | None:
    """Return the reference of an open segment; None where it is not sealed, or not on object storage."""
    files = reader._files
    if (
        isinstance(reader, UnsealedReader)
        or not isinstance(files, RemoteFiles)
        or not is_object_storage(files.location)
    ):
        return None
    listed = files._listing()
    index, data = (listed.get(f"{reader.name}{suffix}") for suffix in (INDEX_SUFFIX, DATA_SUFFIX))
    if index is None or data is None:
        return None
    return SegmentReference(reader.name, files.location, reader._index_file.file_key, index, data)


class ReferencedSegments:
    """Opens segments by their references: two requests each, and no others."""

    def __init__(self) -> None:
        self._files: dict[str, RemoteFiles] = {}  # by URL

    def open(self, reference: SegmentReference) -> SegmentReader:
        """Open a segment; raise Damaged or StoreError."""
        from kubeshark.core_capture.store.places._objects import GivenObjects

        if reference.url not in self._files:
            self._files[reference.url] = GivenObjects(reference.url)
        files = self._files[reference.url]
        assert isinstance(files, GivenObjects)
        files.give(f"{reference.name}{INDEX_SUFFIX}", reference.index)
        files.give(f"{reference.name}{DATA_SUFFIX}", reference.data)
        return SegmentReader(files, IndexFile(files, reference.name, (), file_key=reference.key), ())

    @property
    def requests(self) -> Requests | None:
        """What was asked of servers so far."""
        total = Requests()
        for files in self._files.values():
            total += files.requests
        return total
