"""An archive alone, opened as one store: read as a whole, written and kept in order node by node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from kubeshark.core_capture.store._verify import VerifyReport
from kubeshark.core_capture.store.archives._archive import Archive
from kubeshark.core_capture.store.archives._joined import JoinedStore
from kubeshark.core_capture.store.catalogue._name_history import NameRecord
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.segments._cache import BlockCache
from kubeshark.core_capture.store.segments._reader import SegmentReader
from kubeshark.core_capture.store.upkeep._snapshots import Snapshot
from kubeshark.errors import StoreError

__all__ = ["ArchiveStore"]


class ArchiveStore(JoinedStore):
    """All nodes of an archive. Nothing is written at its prefix: that would make a store of it."""

    def __init__(
        self,
        archive: Archive,
        identities: Sequence[Identity] | None,
        cache_bytes: int = 0,
        workers: Mapping[str, TlsFiles] | None = None,
        tls: TlsFiles | None = None,
        archives: Iterable[Archive] = (),
    ) -> None:
        super().__init__(archive.files, identities, cache_bytes, workers, tls, [archive, *archives])
        self._archive = archive

    @property
    def can_travel(self) -> bool:
        return not self.members and len(self._archives) == 1

    def open_segment(self, name: str, *, keep: bool = True, cache: BlockCache | None = None) -> SegmentReader:
        """Open a segment; who has not listed the archive looks first where its name says it is."""
        if name not in self._owners:
            node = "-".join(name.split("-")[1:-1])
            for each in self.archived:
                if each.url.rpartition("/")[2] == node and each.store.files.exists(f"{name}.idx.age"):
                    return each.store.open_segment(name, keep=keep, cache=cache)
            self.segments()
        return super().open_segment(name, keep=keep, cache=cache)

    def verify(
        self, trusted: Collection[str] | None = None, *, on_progress: Callable[[int, int], None] | None = None
    ) -> VerifyReport:
        reports = [each.store.verify(trusted, on_progress=on_progress) for each in self.archived]
        return VerifyReport(
            sum(report.segments for report in reports),
            sum(report.bytes for report in reports),
            tuple(finding for report in reports for finding in report.findings),
        )

    def write_catalogue(self, *, recipients: Iterable[str | Recipient] | None = None) -> int:
        given = None if recipients is None else list(recipients)
        return sum(each.store.write_catalogue(recipients=given) for each in self.archived)

    def snapshots(self) -> list[Snapshot]:
        return [snapshot for each in self.archived for snapshot in each.store.snapshots()]

    def names(self) -> list[NameRecord]:
        return [record for each in self.archived for record in each.store.names()]

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        nodes = self._archive.nodes()
        raise StoreError(
            f"{self.location} is an archive of {len(nodes)} nodes, each a store of its own",
            hint=f"name one of them, such as {nodes[0]}" if nodes else "it is empty",
        )

    writer = live_writer = prune = rotate_keys = recover = leftovers = _refuse
    add_snapshot = delete_snapshot = change_names = import_state = _refuse
