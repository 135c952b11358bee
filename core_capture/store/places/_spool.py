"""Where files wait on this machine until object storage has them: a folder of its own for every store.

What lies there is encrypted like the store itself. A file goes once it is uploaded; what a dead writer left, the next
one on this machine finishes or clears away, as it does with temporary files of a store in a folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from kubeshark._durable import make_folder
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.errors import StoreError

__all__ = ["open_spool", "spool_path"]

VARIABLE = "KUBESHARK_SPOOL"


def spool_path(url: str) -> Path:
    """Return the folder for the store at this URL, in $KUBESHARK_SPOOL or ~/.kubeshark/spool; it may not be there."""
    base = os.environ.get(VARIABLE) or "~/.kubeshark/spool"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", url)[:80]
    return Path(base).expanduser() / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def open_spool(url: str) -> LocalBackend:
    """Return the spool, made if need be; raise StoreError."""
    path = spool_path(url)
    try:
        make_folder(path)
    except OSError as error:
        raise StoreError(
            f"cannot make the spool {path}: {error.strerror}", hint=f"set {VARIABLE} to a folder that can be written"
        ) from error
    return LocalBackend(path)
