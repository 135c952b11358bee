"""A store: segments and what belongs to them. One `Writer` at a time; `_reading.py` and `_upkeep.py` are the rest."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store._limits import LEAST_HELD_SEGMENTS, LIVE_SEGMENT_BYTES, SEGMENT_BYTES
from kubeshark.core_capture.store._reading import StoreInfo
from kubeshark.core_capture.store._upkeep import StoreUpkeep
from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.keys._identity import Recipient, identity_path, parse_recipients
from kubeshark.core_capture.store.keys._known_nodes import signing_key
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._names import check_node, open_names
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.errors import StoreError, UsageError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.upkeep._prune import Retention
    from kubeshark.core_capture.store.writing._live_writer import LiveWriter
    from kubeshark.core_capture.store.writing._sealer import Sealer
    from kubeshark.core_capture.store.writing._writer import SourceInfo, Writer

__all__ = ["Store", "StoreInfo", "default_node"]


class Store(StoreUpkeep):
    """An open store: what readers have, its upkeep, and who writes."""

    def writer(
        self,
        recipients: Iterable[str | Recipient],
        *,
        source: SourceInfo,
        node: str = "",
        key: NodeKey | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Writer:
        """Begin to write a source, encrypted to `recipients`; raise StoreError while another process writes.

        Continues a source of which the store holds a part. A writer without identity cannot know of it: it must not be
        given a source that has a hash.
        """
        from kubeshark.core_capture.store.writing._sealer import Sealer
        from kubeshark.core_capture.store.writing._writer import ImportState, Writer

        keys = self._encrypt_to(recipients)
        signer = key or signing_key(self.location, self.signers)
        return Writer(
            lambda: self._recovered(Sealer(self.files, keys, key=signer, core=load_core())),
            source,
            node=check_node(node or default_node()),
            core=load_core(),
            segment_bytes=segment_bytes,
            stored=lambda: self.import_state(source.sha256) if source.sha256 else ImportState(),
            on_close=lambda entries, gone: self._finish(entries, gone, keys),
        )

    def live_writer(
        self,
        recipients: Iterable[str | Recipient],
        *,
        source: SourceInfo,
        node: str = "",
        key: NodeKey | None = None,
        segment_bytes: int = LIVE_SEGMENT_BYTES,
        held_segments: int = LEAST_HELD_SEGMENTS,
        segment_seconds: float = 300,
        log_seconds: float = 0.5,
        cpu: float = 0.0,
        retention: Retention | None = None,
        on_sealed: Callable[[SegmentInfo], None] | None = None,
    ) -> LiveWriter:
        """Begin to write a live capture, encrypted to `recipients`; raise StoreError while another process writes.

        Needs no identity; with one, logs that dead writers of this node left are sealed first, behind the capture's
        back. The capture's name gets the time at which it began: ordinals of its packets begin with 0. `on_sealed` is
        called in another thread. `cpu` is how many processors this process may use, 0 for any: while it uses
        more, sealing waits as long as memory holds it. Memory has room for `held_segments`; beyond the least it is
        taken only while the disk is slower than what comes. On object storage the log lies in this machine's spool.

        A source with a hash is a file that grows: it keeps its name, and is continued behind what the store has of it,
        so an identity is needed. Where it may be waited with, ask `wait_for_room` first.
        """
        from kubeshark.core_capture.store._housekeeper import Housekeeper, of_its_own
        from kubeshark.core_capture.store.writing._live_writer import LiveWriter
        from kubeshark.core_capture.store.writing._sealer import Sealer
        from kubeshark.core_capture.store.writing._writer import ImportState

        if retention is not None and retention.max_bytes is not None and retention.max_bytes < 2 * segment_bytes:
            raise UsageError(
                f"a retention of {retention.max_bytes:,} bytes is less than two segments of {segment_bytes:,}"
            )
        keys = self._encrypt_to(recipients)
        own = Store(self.files, self._given)  # its threads change what it knows
        signer = key or signing_key(self.location, self.signers)
        is_file = bool(source.sha256)

        def begin() -> Sealer:
            sealer = Sealer(self.files, keys, key=signer, core=load_core())
            return self._recovered(sealer) if is_file else sealer  # it counts with what is there

        def stored() -> ImportState:
            """Count what could not be sealed, too: it is in the store."""
            return ImportState.of([info for info in self.segments() if info.source.sha256 == source.sha256])

        keeper = Housekeeper(own, keys, signer, retention)
        return LiveWriter(
            begin,
            source if is_file else of_its_own(source),
            node=check_node(node or default_node()),
            core=load_core(),
            segment_bytes=segment_bytes,
            held_segments=held_segments,
            segment_seconds=segment_seconds,
            log_seconds=log_seconds,
            cpu=cpu,
            recover=(lambda _: []) if is_file else keeper.recover,
            prune=keeper.prune,
            marks=keeper.marks,
            on_sealed=on_sealed,
            on_entries=keeper.learn,
            stored=stored if is_file else ImportState,
        )

    def _encrypt_to(self, recipients: Iterable[str | Recipient]) -> tuple[Recipient, ...]:
        keys = parse_recipients(str(recipient) for recipient in recipients)
        if self.files.contains(identity_path()):
            raise StoreError(
                f"the identity {identity_path()} lies inside the store {self.location}",
                hint="whoever copies the store would have its key: move one of them",
            )
        return keys

    def _recovered(self, sealer: Sealer) -> Sealer:
        """Seal what dead live writers of this node left in their log, if it can be read here."""
        try:
            logs = open_names(self.files.names())
            if logs:
                from kubeshark.core_capture.store.writing._log_recovery import seal_own_logs

                with suppress(StoreError):  # without an identity they stay, and are queried as they are
                    entries, _problems = seal_own_logs(sealer, self.identities, logs)
                    self.learn(entries, None)
        except BaseException:
            sealer.release()
            raise
        return sealer

    def _finish(self, entries: list[Entry], gone: list[Entry], recipients: tuple[Recipient, ...]) -> None:
        """Take over what a writer sealed and removed, and rewrite the catalogue if everything on disk is known."""
        for entry in gone:
            self._known.forget(entry.info.name)
        for entry in entries:
            self._known[entry.info.name] = entry
        if entries or gone:
            self._rewrite_catalogue(recipients)


def default_node() -> str:
    """Return this machine's name, in letters that a file name takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", platform.node()).lstrip("._-")[:63] or "node"
