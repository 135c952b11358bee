"""TLS secrets of a query: from key-log files, from $KUBESHARK_KEYLOG, and from the captures themselves.

1. Secrets go into the decrypt step and nowhere else: no stream, entry, error or log holds one.
2. What a capture brings along is read when the first TLS stream asks for it: other queries do not pay for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from kubeshark.core_capture import RawBlock
from kubeshark.core_capture.files import DECRYPTION_SECRETS
from kubeshark.core_capture.store import SegmentInfo, Store
from kubeshark.errors import InputError, KubesharkError, StoreError
from kubeshark.extension_api import Handover
from kubeshark.pipeline._streams import FlowStream
from kubeshark.pipeline.tls import KeyLog, decrypt

__all__ = [
    "Secrets",
    "key_log_files",
    "notices",
    "read_key_log",
    "read_key_logs",
    "secrets_block",
    "stored_blocks",
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


def stored_blocks(store: Store, problems: list[KubesharkError]) -> tuple[bool, Callable[[], Iterator[RawBlock]]]:
    """Return whether a store's captures may hold secrets, and what reads all their blocks that are no packets."""
    known: dict[tuple[str, str], int] = {}
    holders: list[SegmentInfo] = []
    for info in sorted(store.segments(), key=lambda info: info.source.blocks):
        source = info.source.sha256, info.source.name
        if info.source.blocks > known.get(source, 0):  # it holds blocks that those before it did not
            holders.append(info)
        known[source] = info.source.blocks

    def read() -> Iterator[RawBlock]:
        for info in holders:
            try:
                with store.open_segment(info.name) as segment:
                    yield from segment.extras.metadata.blocks
            except StoreError as error:
                problems.append(error)

    return bool(holders), read


class Secrets:
    """Decrypts the TLS streams of one query. `stored` gives the blocks of its captures; it is called at most once."""

    def __init__(self, given: KeyLog, stored: Callable[[], Iterable[RawBlock]], *, has_stored: bool) -> None:
        self._given = given
        self._stored = stored
        self._may_decrypt = bool(given) or has_stored

    @property
    def step(self) -> Callable[[FlowStream], Handover | None] | None:
        """The decrypt step; None where there can be no secrets."""
        return self.decrypt if self._may_decrypt else None

    def decrypt(self, stream: FlowStream) -> Handover | None:
        """Return what was said inside a TLS stream or a QUIC connection; None without its keys."""
        if stream.transport == "udp":
            from kubeshark.pipeline.tls._quic import decrypt_quic  # it stands on a dissector's packets

            return decrypt_quic(stream, self._keylog)
        return decrypt(stream, self._keylog)

    @cached_property
    def _keylog(self) -> KeyLog:
        log = self._given
        for found in self._in_blocks():
            log = found.merged(log)  # a file named by the user wins
        return log

    def _in_blocks(self) -> Iterator[KeyLog]:
        for block in self._stored():
            if found := block_secrets(block):
                yield found
