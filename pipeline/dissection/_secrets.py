"""TLS secrets of a query: from key-log files, from $KUBESHARK_KEYLOG, and from the captures themselves.

Secrets go into the decrypt step and nowhere else: no stream, entry, error or log holds one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kubeshark.core_capture import RawBlock
from kubeshark.core_capture.files import DECRYPTION_SECRETS
from kubeshark.core_capture.store import SegmentInfo, Store
from kubeshark.errors import InputError, KubesharkError, StoreError
from kubeshark.pipeline.tls import KeyLog

if TYPE_CHECKING:
    from kubeshark.extension_api import Handover
    from kubeshark.pipeline.reading._streams import FlowStream

__all__ = [
    "LiveSecrets",
    "Secrets",
    "key_log_files",
    "notices",
    "read_key_log",
    "read_key_logs",
    "secrets_block",
]

KEYLOG_VARIABLE = "KUBESHARK_KEYLOG"
MAX_KEYLOG_BYTES = 256 << 20
TLS_KEY_LOG = 0x544C534B  # pcapng secrets type "TLSK": an NSS key log
BLOCK_HEADER = 8  # secrets type, length


def key_log_files(given: Iterable[str | Path] = ()) -> list[Path]:
    """Return the files named, and those in $KUBESHARK_KEYLOG (several are separated as in PATH)."""
    named = os.environ.get(KEYLOG_VARIABLE, "").split(os.pathsep)
    return [*map(Path, given), *(Path(name) for name in named if name)]


def read_key_log(path: Path) -> bytes:
    """Return a key-log file's contents; raise InputError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEYLOG_BYTES + 1)
    except OSError as error:
        raise InputError(f"key log cannot be read: {error.strerror}", file=str(path)) from error
    if len(text) > MAX_KEYLOG_BYTES:
        raise InputError(f"a key log of more than {MAX_KEYLOG_BYTES:,} bytes", file=str(path))
    return text


def read_key_logs(paths: Iterable[Path]) -> KeyLog:
    """Return the secrets of all these files; raise InputError for one that cannot be read."""
    log = KeyLog()
    for path in paths:
        log = log.merged(KeyLog.parse(read_key_log(path)))
    return log


def notices(log: KeyLog) -> list[str]:
    """Say what the key logs held that is no secret."""
    return [f"{log.bad_lines:,} lines of the key logs are no key-log lines"] if log.bad_lines else []


def secrets_block(text: bytes) -> RawBlock:
    """Return a key log as a pcapng decryption secrets block (draft-ietf-opsawg-pcapng §4.7) before all packets."""
    header = TLS_KEY_LOG.to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return RawBlock(DECRYPTION_SECRETS, header + text + bytes(-len(text) % 4), before_ordinal=0)


def block_secrets(block: RawBlock) -> KeyLog | None:
    """Return the secrets in a block; None if it holds none for TLS."""
    body = block.body
    if block.block_type != DECRYPTION_SECRETS or int.from_bytes(body[:4], "little") != TLS_KEY_LOG:
        return None
    end = BLOCK_HEADER + int.from_bytes(body[4:BLOCK_HEADER], "little")
    return KeyLog.parse(body[BLOCK_HEADER:end])


def stored_blocks(store: Store, problems: list[KubesharkError]) -> Iterator[RawBlock]:
    """Yield the blocks of a store's captures that are no packets; only segments that hold some are read."""
    known: dict[tuple[str, str], int] = {}
    holders: list[SegmentInfo] = []
    for info in sorted(store.segments(), key=lambda info: info.source.blocks):
        source = info.source.sha256, info.source.name
        if info.source.blocks > known.get(source, 0):  # it holds blocks that those before it did not
            holders.append(info)
        known[source] = info.source.blocks
    for info in holders:
        try:
            with store.open_segment(info.name) as segment:
                yield from segment.extras.metadata.blocks
        except StoreError as error:
            problems.append(error)


class Secrets:
    """Decrypts the streams of one query, with the secrets given and those among the blocks of its captures."""

    def __init__(self, given: KeyLog, blocks: Iterable[RawBlock]) -> None:
        self.problems: list[KubesharkError] = []
        self._keylog = given
        for block in blocks:
            if found := block_secrets(block):
                self._keylog = found.merged(self._keylog)  # a file named by the user wins

    @classmethod
    def of_store(cls, given: KeyLog, store: Store) -> Self:
        """Return those for queries of a store; `problems` says which of its segments could not be read."""
        problems: list[KubesharkError] = []
        secrets = cls(given, stored_blocks(store, problems))
        secrets.problems = problems
        return secrets

    def secret_text(self) -> bytes:
        """Return all of them as a key log: for another process of ours, through a private channel."""
        return self._keylog.secret_text()

    @property
    def step(self) -> Callable[[FlowStream], Handover | None] | None:
        """The decrypt step; None where there are no secrets."""
        return self.decrypt if self._keylog else None

    def decrypt(self, stream: FlowStream) -> Handover | None:
        """Return what was said inside a TLS stream or a QUIC connection; None without its keys."""
        if stream.transport == "udp":
            from kubeshark.pipeline.tls._quic import decrypt_quic  # it stands on a dissector's packets

            return decrypt_quic(stream, self._keylog)
        from kubeshark.pipeline.tls import decrypt

        return decrypt(stream, self._keylog)


class LiveSecrets:
    """The secrets of a live view: read again when a key log changes, or the capture brings some."""

    def __init__(self, given: KeyLog, files: Sequence[Path], store: Store) -> None:
        self._given, self._files, self._store = given, files, store
        self._seen = self._state()
        self._secrets = Secrets.of_store(given, store)

    def step(self, *, brings_some: bool) -> Callable[[FlowStream], Handover | None] | None:
        """Return the decrypt step by now; a key log that cannot be read just now is as it was."""
        state = self._state()
        if state != self._seen:
            with suppress(InputError):
                self._given = read_key_logs(self._files)
                self._seen = state
                brings_some = True
        if brings_some:
            self._secrets = Secrets.of_store(self._given, self._store)
        return self._secrets.step

    @property
    def problems(self) -> list[KubesharkError]:
        return self._secrets.problems

    def _state(self) -> list[tuple[int, int]]:
        """Return size and time of each file; a file that is not there has neither."""
        found = []
        for path in self._files:
            try:
                stat = path.stat()
                found.append((stat.st_size, stat.st_mtime_ns))
            except OSError:
                found.append((0, 0))
        return found
