"""What a query runs on a machine of a Ray cluster. It is trusted with the segments of its tasks, and nothing else.

Ray keeps arguments and results in an object store that may spill to disk, and shows calls in logs and dashboards. So
all it gets to see are letters (`core_capture/store/keys/_letter.py`): the query writes to a key that this process made
and keeps in memory, and is answered to a key of its own. No identity comes here: an errand has the keys of its
segments.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from typing import Any

from kubeshark.core_capture.store import (
    Identity,
    Recipient,
    ReferencedSegments,
    SegmentReader,
    SegmentReference,
    open_letter,
    write_letter,
)
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline._memory import keep_freed_memory
from kubeshark.pipeline.executors._job import Errand, Job
from kubeshark.pipeline.executors._worker import FAILED, Worker
from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["QueryActor"]


class QueryActor:
    """One process of one query. Nothing it raises or prints holds what it was given."""

    def __init__(self) -> None:
        self._me = Identity.generate()
        self._worker: Worker | None = None
        self._answers_to: Recipient | None = None
        self._segments = ReferencedSegments()
        self._given: dict[str, SegmentReference] = {}

    def hello(self) -> tuple[str, int]:
        """Return the key to write to (age1…), and this process's id."""
        return str(self._me.recipient), os.getpid()

    def begin(self, letter: bytes) -> bytes:
        """Take the job, and to whom to answer; return b"", or a letter with what is wrong."""
        answers_to, job = self._read(letter)
        self._answers_to = Recipient.parse(answers_to)
        try:
            self._begin(job)
        except KubesharkError as error:
            return self._letter(FAILED, error)
        except Exception as error:  # noqa: BLE001 - its text may hold anything: Ray must not see it
            return self._letter(FAILED, StoreError(f"a worker failed: {type(error).__name__}: {error}"))
        return b""

    def _begin(self, job: Job) -> None:
        self._worker = Worker(job, Plugins.installed(), self._open, lambda: self._segments.requests)
        keep_freed_memory()

    def do(self, letter: bytes) -> Iterator[bytes]:
        """Do an errand; yield letters, as `_worker.py` has them. The same again, if it is done again."""
        errand: Errand = self._read(letter)
        self._given = errand.segments
        assert self._worker is not None
        try:
            for kind, content in self._worker.do(errand.task):
                yield self._letter(kind, content)
        except KubesharkError as error:
            yield self._letter(FAILED, error)
        except Exception as error:  # noqa: BLE001 - as above
            yield self._letter(FAILED, StoreError(f"a worker failed: {type(error).__name__}: {error}"))
        finally:
            self._given = {}

    def _open(self, name: str) -> SegmentReader:
        if name not in self._given:
            raise StoreError(f"{name} was not given to this worker")
        return self._segments.open(self._given[name])

    def _read(self, letter: bytes) -> Any:
        return pickle.loads(open_letter(letter, self._me))  # noqa: S301 - whoever calls actors runs code anyway

    def _letter(self, kind: bytes, content: Any) -> bytes:
        assert self._answers_to is not None
        return write_letter(kind + pickle.dumps(content, pickle.HIGHEST_PROTOCOL), self._answers_to)
