"""A small file of a store that is replaced as a whole: age ( JSON {"public_key", "signature", "body"} ).

Signed by the node that wrote it last, because anybody can encrypt to a recipient. With `is_packed` a zstd frame lies
between. Who changes one holds a lock of its own meanwhile.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Generic, TypeVar

import zstandard
from msgspec import Struct

from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey, decode_signed, encode_signed
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.errors import Damaged, StoreError

__all__ = ["Signed", "SignedFile"]

T = TypeVar("T")


class Signed(Struct, Generic[T], frozen=True):
    """What such a file holds."""

    body: T
    public_key: str  # of the node that signed it
    version: str  # of the file: what is to be replaced


class SignedFile(Struct, Generic[T], frozen=True):
    """Where it lies, what it holds, and how large that may be, in bytes of JSON."""

    name: str
    kind: type[T]
    max_bytes: int
    is_packed: bool = False

    def read(self, files: Backend, identities: Sequence[Identity]) -> Signed[T] | None:
        """Return what it holds, None without it; raise NotForUsError or Damaged."""
        try:
            with AgeReader(files.open(self.name), identities) as age:
                if age.size > self.max_bytes:
                    raise Damaged(f"is larger than {self.max_bytes:,} bytes", file=self.name)
                content, version = age.read(0, age.size), age.version
        except FileNotFoundError:
            return None
        body, signed_by = decode_signed(self._unpacked(content) if self.is_packed else content, self.kind, self.name)
        return Signed(body, signed_by, version)

    def replace(self, files: Backend, body: T, recipients: Sequence[Recipient], key: NodeKey, version: str) -> None:
        """Write it in place of the one of this version, "" for none; it lasts when this returns.

        Raises StoreError, Changed where another process wrote meanwhile.
        """
        content = encode_signed(body, key)
        sealed = io.BytesIO()
        out = AgeWriter(sealed, recipients)
        out.write(zstandard.ZstdCompressor().compress(content) if self.is_packed else content)
        out.finish()
        temporary = f".{self.name.partition('.')[0]}.new"  # not .tmp-: a writer that begins meanwhile clears those away
        try:
            files.replace(self.name, sealed.getvalue(), version=version, temporary=temporary)
        except OSError as error:
            raise StoreError(f"cannot write to {files.location}: {error.strerror}") from error

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            size = zstandard.frame_content_size(packed)
            if not 0 <= size <= self.max_bytes:
                raise Damaged(f"does not say its size, or more than {self.max_bytes:,} bytes", file=self.name)
            return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size or 1)
        except zstandard.ZstdError as error:
            raise Damaged(str(error), file=self.name) from error
