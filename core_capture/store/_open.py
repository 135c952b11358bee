"""Opens what is to be read as one: a store, an archive of several, and workers and archives beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kubeshark.core_capture.store._identity import Identity
from kubeshark.core_capture.store._locate import check_url, is_object_storage, open_backend, worker_url
from kubeshark.core_capture.store._store import Store
from kubeshark.core_capture.store._tls_files import TlsFiles
from kubeshark.errors import UsageError

__all__ = ["open_store"]


def open_store(
    path: str | Path,
    *,
    workers: Iterable[str] = (),
    archives: Iterable[str] = (),
    tls: TlsFiles | None = None,
    identities: Sequence[Identity] | None = None,
    create: bool = False,
    cache_bytes: int = 0,
) -> Store:
    """Open a store as `Store.open`, or an archive if it is one; with URLs of workers and archives they are read, too.

    None of those needs to answer.
    """
    urls, beside = dict.fromkeys(map(worker_url, workers)), tuple(dict.fromkeys(archives))
    if wrong := [url for url in beside if not is_object_storage(url)]:
        raise UsageError(f"{wrong[0][:200]} is no archive", hint="write s3://BUCKET/PREFIX")
    if not urls and not beside:
        if is_object_storage(path):
            return _open_bucket(str(path).rstrip("/"), identities, create=create, cache_bytes=cache_bytes)
        return Store.open(path, identities=identities, create=create, cache_bytes=cache_bytes)
    files = open_backend(path, create=create)
    from kubeshark.core_capture.store._archive import Archive
    from kubeshark.core_capture.store._joined import JoinedStore
    from kubeshark.core_capture.store._worker_files import WorkerBackend

    shown = tls or TlsFiles.in_folder()
    return JoinedStore(
        files,
        identities,
        cache_bytes,
        [WorkerBackend(url, shown) for url in urls],
        [Archive.open(url) for url in beside],
    )


def _open_bucket(url: str, identities: Sequence[Identity] | None, *, create: bool, cache_bytes: int) -> Store:
    """Open the store or the archive at a URL: one listing says which it is."""
    from kubeshark.core_capture.store._archive import Archive
    from kubeshark.core_capture.store._archive_store import ArchiveStore
    from kubeshark.core_capture.store._objects import must_exist

    check_url(url)
    archive = Archive.open(url)
    if archive.is_one:
        return ArchiveStore(archive, identities, cache_bytes)
    if not create:
        must_exist(archive.files)
    return Store(archive.files, identities, cache_bytes)
