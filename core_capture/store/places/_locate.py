"""From what a user calls a store, a folder or a URL, to where its files lie."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._local import open_folder
from kubeshark.core_capture.store.places._names import check_node
from kubeshark.errors import UsageError

__all__ = ["SCHEMES", "archive_url", "check_url", "is_object_storage", "open_backend", "worker_url"]

SCHEMES = ("s3", "gs", "az", "memory")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WORKER_URL = re.compile(r"https://(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?/?")
_FLAT_URL = re.compile(rf"({'|'.join(SCHEMES)}):/[^/]")


def worker_url(text: str) -> str:
    """Return https://HOST:PORT as it is kept; raise UsageError for anything else."""
    if not _WORKER_URL.fullmatch(text):
        raise UsageError(f"{text.split('?')[0][:200]} names no worker", hint="write https://HOST:PORT")
    return text.rstrip("/")


def archive_url(url: str, node: str) -> str:
    """Return where a node's segments lie in an archive; raise UsageError for what is no object storage."""
    _check_secrets(url)
    if not is_object_storage(url):
        raise UsageError(f"{url[:200]} is no archive", hint="write s3://BUCKET/PREFIX")
    check_url(url)
    return f"{url.rstrip('/')}/{check_node(node)}"


def is_object_storage(location: str | Path) -> bool:
    """Say whether a URL is one of object storage."""
    return isinstance(location, str) and location.partition("://")[0] in SCHEMES


def check_url(text: str) -> None:
    """Raise UsageError for a URL that names no bucket and prefix."""
    _check_secrets(text)
    url = urlsplit(text)
    if not url.netloc or url.query or url.fragment:
        raise UsageError(f"{text.split('?')[0][:200]} names no bucket and prefix", hint="write s3://BUCKET/PREFIX")
    if any(part in (".", "..") for part in url.path.split("/")) or "//" in url.path:
        raise UsageError(f"{text[:200]}: a prefix has no empty or dotted parts", hint="write s3://BUCKET/PREFIX")


def _check_secrets(text: str) -> None:
    if "@" in urlsplit(text).netloc:
        raise UsageError("credentials do not belong into a store's URL", hint="set AWS_ACCESS_KEY_ID and others")


def open_backend(location: str | Path, *, create: bool) -> Backend:
    """Open where a store lies; raise UsageError for a URL that is none of ours, StoreError if it cannot be reached."""
    text = str(location)
    found = _URL.match(text)
    if found is None:
        if isinstance(location, Path) and _FLAT_URL.match(text):
            raise UsageError(f"{text} was a URL, a Path does not keep it", hint="give it as text")
        return open_folder(Path(location), create=create)
    url = urlsplit(text)
    _check_secrets(text)
    if url.scheme == "https":
        from kubeshark.core_capture.store.places._worker_files import WorkerBackend  # httpx takes a fifth of a second

        return WorkerBackend(worker_url(text))
    if url.scheme == "file" and not url.netloc:
        return open_folder(Path(url.path), create=create)
    if url.scheme not in SCHEMES:
        raise UsageError(
            f"{found[1]}:// is no place for a store", hint=f"use a folder, {', '.join(SCHEMES)}:// or https://"
        )
    check_url(text)
    # What speaks to object storage is 15 MB of code: who has a folder does not load it.
    from kubeshark.core_capture.store.places._objects import open_objects

    return open_objects(text.rstrip("/"), create=create)
