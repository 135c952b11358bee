"""Who had an address, and when: names beside the segments, so that packets keep those that were true at their time.

They lie in names.age: age ( zstd ( JSON {"public_key", "signature", "body"} ) ), signed by the node that wrote it last,
and replaced as a whole: closed records that end before everything in the store go then.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal

import msgspec
import zstandard

from kubeshark.core_capture.store._age import AgeReader, AgeWriter
from kubeshark.core_capture.store._backend import Backend
from kubeshark.core_capture.store._identity import Identity, Recipient
from kubeshark.core_capture.store._names import NAMES, NAMES_LOCK
from kubeshark.core_capture.store._signing import NodeKey, decode_signed, encode_signed
from kubeshark.errors import Damaged, StoreError

__all__ = ["NameKind", "NameRecord", "change_names", "load_names", "names_key"]

NameKind = Literal["pod", "service", "node", "host"]

MAX_RECORDS = 100_000
"""Of more only the latest begun are kept."""

MAX_PLAIN_BYTES = 256 << 20
_TEMPORARY = ".names.new"  # not .tmp-: a writer that begins meanwhile clears those away

_Text = Annotated[str, msgspec.Meta(max_length=253)]
_Address = Annotated[str, msgspec.Meta(max_length=45)]
_Texts = Annotated[dict[_Text, Annotated[str, msgspec.Meta(max_length=4_096)]], msgspec.Meta(max_length=128)]


class NameRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One name of some addresses, from `since_ns` (nanoseconds since 1970) until just before `until_ns`; None: still.

    `kind`: a service has its own addresses, or those of who answers for it; a host is whatever has a name outside.
    """

    kind: NameKind
    name: _Text
    namespace: _Text = ""
    addresses: Annotated[tuple[_Address, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    since_ns: int
    until_ns: int | None = None
    labels: _Texts = {}
    annotations: _Texts = {}
    node: _Text = ""
    node_address: Annotated[str, msgspec.Meta(max_length=45)] = ""
    owner: Annotated[str, msgspec.Meta(max_length=400)] = ""  # Kind/name of its controller


class _Body(msgspec.Struct):
    records: list[NameRecord]
    version: Literal[1] = 1


def load_names(files: Backend, identities: Sequence[Identity]) -> list[NameRecord]:
    """Return the records, by their begin; none without the file. Raise NotForUsError or Damaged."""
    found = _load(files, identities)
    return found[0] if found else []


def names_key(files: Backend, identities: Sequence[Identity]) -> str | None:
    """Return the public key of the node that signed the file, None without one."""
    found = _load(files, identities)
    return found[1] if found else None


def change_names(
    files: Backend,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    key: NodeKey,
    change: Callable[[list[NameRecord]], Iterable[NameRecord]],
    *,
    oldest_ns: int | None = None,
) -> list[NameRecord]:
    """Replace the records by what `change` makes of them; they last when this returns.

    Those that ended before `oldest_ns`, the first packet of the store, go. Raises StoreError, Changed where another
    process wrote meanwhile.
    """
    with files.lock(NAMES_LOCK):
        found = _load(files, identities)
        known, version = (found[0], found[2]) if found else ([], "")
        kept = [
            record
            for record in change(known)
            if record.until_ns is None
            or (record.until_ns > record.since_ns and (oldest_ns is None or record.until_ns > oldest_ns))
        ]
        kept.sort(key=lambda record: record.since_ns)
        del kept[:-MAX_RECORDS]
        if kept == known:
            return kept
        sealed = io.BytesIO()
        out = AgeWriter(sealed, recipients)
        out.write(zstandard.ZstdCompressor().compress(encode_signed(_Body(kept), key)))
        out.finish()
        try:
            files.replace(NAMES, sealed.getvalue(), version=version, temporary=_TEMPORARY)
        except OSError as error:
            raise StoreError(f"cannot write to {files.location}: {error.strerror}") from error
    return kept


def _load(files: Backend, identities: Sequence[Identity]) -> tuple[list[NameRecord], str, str] | None:
    """Return the records, who signed them and the version of the file; None if there is none."""
    try:
        with AgeReader(files.open(NAMES), identities) as age:
            if age.size > MAX_PLAIN_BYTES:
                raise Damaged(f"is larger than {MAX_PLAIN_BYTES:,} bytes", file=NAMES)
            packed, version = age.read(0, age.size), age.version
    except FileNotFoundError:
        return None
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_PLAIN_BYTES:
            raise Damaged(f"does not say its size, or more than {MAX_PLAIN_BYTES:,} bytes", file=NAMES)
        plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size or 1)
    except zstandard.ZstdError as error:
        raise Damaged(str(error), file=NAMES) from error
    body, signed_by = decode_signed(plain, _Body, NAMES)
    if len(body.records) > MAX_RECORDS:
        raise Damaged(f"has more than {MAX_RECORDS:,} records", file=NAMES)
    return body.records, signed_by, version
