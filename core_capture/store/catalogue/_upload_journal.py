"""What of a folder's segments has reached the archive: a small file beside them, so that a restart begins nothing anew.

1. A segment is noted as done when both its objects were read back; the note lasts before retention may trust in it.
2. One that waits stands in it by name: if its files go before they are uploaded, that is a loss, and is counted.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import UPLOADS
from kubeshark.core_capture.store.segments._info import Count

__all__ = ["UploadJournal", "load_journal", "save_journal"]

MAX_JOURNAL_BYTES = 64 << 20
"""Half a million names: more than a worker lists."""

_Name = Annotated[str, msgspec.Meta(max_length=120)]


class UploadJournal(msgspec.Struct):
    """Counters are since the first upload to this URL."""

    url: Annotated[str, msgspec.Meta(max_length=2000)]  # of the node's store in the archive
    done: set[_Name] = msgspec.field(default_factory=set)  # that still lie here
    waiting: set[_Name] = msgspec.field(default_factory=set)
    uploaded: Count = 0  # segments
    uploaded_bytes: Count = 0
    lost: Count = 0  # segments that went before they were uploaded
    last_lost: _Name = ""
    left_out: set[_Name] = msgspec.field(default_factory=set)  # that lie here, and are of schedules without upload
    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


def load_journal(files: Backend) -> UploadJournal | None:
    """Return what is noted; None where nothing is, or nothing that can be read: it is then all looked at again."""
    try:
        content = files.read(UPLOADS, MAX_JOURNAL_BYTES + 1).data
        return msgspec.json.decode(content, type=UploadJournal) if len(content) <= MAX_JOURNAL_BYTES else None
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def save_journal(files: Backend, journal: UploadJournal) -> None:
    """Replace it; it lasts when this returns. Raise OSError."""
    files.replace(UPLOADS, msgspec.json.encode(journal, order="sorted"), temporary=".uploads.new")
