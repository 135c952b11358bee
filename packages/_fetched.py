"""What came from a source, before anything of it is believed."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from kubeshark.packages._signature import MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX

__all__ = ["Fetched", "is_remote", "local"]


class Fetched(Struct, frozen=True):
    """A folder or a file on this machine, and what was said of it where it came from."""

    path: Path
    source: str  # as `plugin update` will ask again
    exact: str = ""  # the same contents, where the source can name them
    signature: bytes | None = None  # the contents of its .sig file
    digest: str = ""  # what its contents must have, in hexadecimal; "" if nobody said
    signer: str = ""  # the key that must have signed it; "" if nobody said
    wanted: str = ""  # the plugin that it must be; "" for whichever it is


def is_remote(source: str) -> bool:
    """Say whether `plugin update` can ask there again."""
    return "://" in source or source.startswith("index:")


def local(path: Path) -> Fetched:
    """Return a folder or a file as a source, with the signature that lies beside it."""
    signature = None
    beside = path.with_name(path.name + SIGNATURE_SUFFIX)
    if path.is_file() and beside.is_file():
        with beside.open("rb") as file:
            signature = file.read(MAX_SIGNATURE_BYTES + 1)
    return Fetched(path, str(path.resolve()), signature=signature)
