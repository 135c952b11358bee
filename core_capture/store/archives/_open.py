"""Opens what is to be read as one: a store, an archive of several, and workers and archives beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kubeshark.core_capture.store._store import Store
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._locate import check_url, is_object_storage, open_backend, worker_url
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import UsageError

__all__ = ["open_store"]


def open_store(
    path: str | Path,
    *,
    workers: Iterable[str] | None = None,
    archives: Iterable[str] = (),
    tls: TlsFiles | None = None,
    identities: Sequence[Identity] | None = None,
    create: bool = False,
    cache_bytes: int = 0,
) -> Store:
    """Open a store as `Store.open`, or an archive if it is one; with URLs of workers and archives they are read, too.

    None of those needs to answer. `workers`: None if there will never be any.
    """
    beside = tuple(dict.fromkeys(archives))
    if wrong := [url for url in beside if not is_object_storage(url)]:
        raise UsageError(f"{wrong[0][:200]} is no archive", hint="write s3://BUCKET/PREFIX")
    if not is_object_storage(path):
        files: Backend = open_backend(path, create=create)
    else:
        from kubeshark.core_capture.store.archives._archive import Archive
        from kubeshark.core_capture.store.archives._archive_store import ArchiveStore
        from kubeshark.core_capture.store.places._objects import must_exist

        check_url(str(path))
        archive = Archive.open(str(path))
        if archive.is_one:  # one listing says it
            return ArchiveStore(archive, identities, cache_bytes, _tls_of(workers, tls), tls, map(Archive.open, beside))
        if not create:
            must_exist(archive.files)
        files = archive.files
    if workers is None and not beside:
        return Store(files, identities, cache_bytes)
    from kubeshark.core_capture.store.archives._archive import Archive
    from kubeshark.core_capture.store.archives._joined import JoinedStore

    return JoinedStore(files, identities, cache_bytes, _tls_of(workers, tls), tls, map(Archive.open, beside))


def _tls_of(workers: Iterable[str] | None, tls: TlsFiles | None) -> dict[str, TlsFiles]:
    files = tls or TlsFiles.in_folder()
    return dict.fromkeys(map(worker_url, workers or ()), files)
