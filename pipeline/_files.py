"""Dissect capture files without a store: each file becomes segments of its own, and the query runs over those."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar, cast

from kubeshark.core_capture import RawBlock, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.errors import InputError, KubesharkError, PluginError
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.dissection._secrets import Secrets, key_log_files, notices, read_key_logs
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.kfl import Variable
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.query._arguments import check_limit
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._query import Query, QueryOptions
from kubeshark.pipeline.query._rows import itself
from kubeshark.pipeline.reading._scratch import Scratch
from kubeshark.pipeline.reading._segments import Segment

if TYPE_CHECKING:
    from kubeshark.pipeline.scripts._runtime import Scripts

__all__ = ["FileDissection"]

T = TypeVar("T")
STDIN = "-"
HASHED_AT_ONCE = 1 << 20
DIGITS = 12  # of the file's SHA-256, in the place of a segment's name (entries.md §4)


class FileDissection:
    """Iterate it once for the entries of all files, file by file; then see `report()` and `exit_code`.

    `keylogs` are TLS key-log files, used beside those in $KUBESHARK_KEYLOG and the secrets in the captures themselves.
    Raises UsageError for a bad filter or limit, InputError for a key log that cannot be read. A capture that cannot be
    read is reported, never raised: the others are dissected.
    """

    def __init__(
        self,
        files: Sequence[str],
        kfl: str = "",
        *,
        limit: int | None = None,
        plugins: Plugins | None = None,
        keylogs: Iterable[str | Path] = (),
        scripts: Scripts | None = None,
        macros: Mapping[str, str] | None = None,
    ):
        """`scripts` get every packet and entry of each file before its entries are given out, and look at those.

        `macros` are names for KFL that the filter may use.
        """
        check_limit("limit", limit)
        self.files = files
        self.limit = limit
        self.scripts = scripts
        self.plugins = plugins or Plugins.installed()
        if macros:
            self.plugins.use_macros(macros)
        if scripts is not None:
            if self.plugins.scripts is not None:
                self.plugins.scripts.close()
            self.plugins.scripts = scripts
        self.problems: list[KubesharkError | str] = []
        self.notes: list[str] = []
        self.unreadable = 0  # files of which nothing could be read
        self._kfl = kfl
        self._filter = EntryFilter(kfl, self.plugins, now_ns=time.time_ns())
        self._keylog = read_key_logs(key_log_files(keylogs))
        self.notes += notices(self._keylog)

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The KFL variables that entries have, those of plugins included."""
        return self._filter.variables

    def __iter__(self) -> Iterator[Entry]:
        return self.map(itself)

    def map(self, make: Callable[[Entry], T]) -> Iterator[T]:
        """Iterate it once for what `make` makes of each entry: of many at once where it can (`Pipeline.map`)."""
        for query in self._queries(make):
            yield from query

    def lists(self, make: Callable[[Entry], T]) -> Iterator[Sequence[T]]:
        """Iterate it once for what `map` gives, many at once: what is done for each costs less."""
        for query in self._queries(make):
            yield from query.lists()

    def _queries(self, make: Callable[[Entry], T]) -> Iterator[Query[T]]:
        """Yield a query for each file that can be read; what comes of it is taken down when the next is asked for."""
        limits = [limit for limit in (self.limit, self._filter.limit) if limit is not None]
        left = min(limits, default=None)
        for file in self.files:
            if left == 0:
                return
            for query in self._of_file(file, left, make):
                yield query
                left = None if left is None else max(left - query.stats.matched, 0)
            self._filter.failures.clear()  # the query told them
            self.problems += self.plugins.take_problems()
        if note := self._filter.error_note:
            self.notes.append(note)

    def _of_file(self, file: str, limit: int | None, make: Callable[[Entry], T]) -> Iterator[Query[T]]:
        """Yield a file's query, or nothing where it cannot be read."""
        with Scratch(load_core()) as scratch:
            try:
                segments, blocks = self._read(file, scratch)
            except InputError as error:
                self.problems.append(error)
                self.unreadable += 1
                return
            except OSError as error:
                self.problems.append(f"{file}: {error.strerror or error}")
                self.unreadable += 1
                return
            failures: list[PluginError] = []
            origin = Origin("file", file, self.variables, self.plugins.display)
            secrets = Secrets(self._keylog, blocks)
            dissector = Dissector(load_core(), self.plugins, failures, origin, secrets.step)
            predicate = self._filter.predicate
            if secrets.step:
                predicate = EntryFilter(self._kfl, self.plugins, now_ns=time.time_ns(), can_decrypt=True).predicate
            query = Query(segments, dissector, self._filter, predicate, make, QueryOptions(limit=limit))
            if self.scripts is None:
                yield query
            else:
                from kubeshark.pipeline.scripts._replay import opening

                with opening(self.scripts, {segment.name: segment for segment in segments}.__getitem__):
                    self._tell(self.scripts, segments, dissector)
                    yield query
            self.problems += query.problems

    def _tell(self, scripts: Scripts, segments: Sequence[Segment], dissector: Dissector) -> None:
        """Give every entry to the scripts that want them, in the order of time."""
        from kubeshark.pipeline.scripts._replay import feed, without_scripts

        if not scripts.has("onItemCaptured", "worker"):
            return
        everything = EntryFilter("", self.plugins, now_ns=time.time_ns(), can_decrypt=True)
        with without_scripts(self.plugins):
            feed(scripts, Query(segments, dissector, everything, everything.predicate, itself, QueryOptions()))

    def _read(self, file: str, scratch: Scratch) -> tuple[Sequence[Segment], Sequence[RawBlock]]:
        """Read a file into segments named by its SHA-256; return the blocks that are no packets, too."""
        digest = hashlib.sha256()
        with nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb") as raw:
            source = _Hashing(raw, digest)
            with open_capture(cast(BinaryIO, source), name=file) as reader:
                told = self.scripts.on_batch() if self.scripts is not None else None
                for batch in reader:
                    scratch.add(batch)
                    if told:
                        told(batch)
                self.problems += [f"{file}: {problem}" for problem in reader.problems]
            while source.read(HASHED_AT_ONCE):  # what the reader left is part of the file's hash
                pass
        return scratch.segments(digest.hexdigest()[:DIGITS]), reader.metadata.blocks

    def report(self) -> list[str]:
        """Return what could not be read or done, a line each."""
        return [*self._filter.notices, *map(str, self.problems), *self.notes]

    @property
    def exit_code(self) -> int:
        """0; 3 if some input was unreadable or a plugin failed; 1 if no file could be read at all."""
        if not self.problems:
            return 0
        return 1 if self.unreadable == len(self.files) else 3

    def close(self) -> None:
        self.plugins.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class _Hashing:
    """A binary stream that hashes what is read through it."""

    def __init__(self, raw: BinaryIO, digest: hashlib._Hash) -> None:
        self._raw = raw
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._digest.update(data)
        return data
