"""Requests to object storage, through obstore: counted, bounded in time, with errors in one line.

obstore tries reads again by itself (5xx, cut connections, time-outs). A conditional write must not be repeated blindly:
the first try may have been carried out and only its answer lost. Those are repeated here, after a look at what is
there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore import exceptions
from obstore.store import MemoryStore, from_url

from kubeshark.core_capture.store.places._backend import Changed, Content, Found, Piece, Requests
from kubeshark.core_capture.store.places.aws._profile import aws_profile
from kubeshark.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["ObjectClient"]

CONNECT_SECONDS = 3
REQUEST_SECONDS = 60
"""One try of one request with its body; a part of an upload, the largest, has 8 MiB: 1.1 Mbit/s are enough."""

RETRY_SECONDS = 30
RETRIES = 5
MAX_BACKOFF_SECONDS = 4
PART_BYTES = 8 << 20
"""Files above two parts are uploaded in parts, four at once; a part that fails is sent again, not the file."""

_PARTS_AT_ONCE = 4
_TRIES = 3  # of a conditional write whose answer does not come
_memory: dict[str, ObjectStore] = {}  # memory://NAME is the same store for the whole process
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_EMPTY_RANGE = re.compile(r"InvalidRange|Invalid range|code: 416")
_REPEATED = re.compile(r"after [1-9]\d* retries")
_BROKEN = re.compile(r"response body")
_STATUS = re.compile(r"non-2xx status code: (\d{3}(?: [A-Za-z ]{1,40}\b)?)")
_ENDPOINT = re.compile(r"https?://(?!docs\.rs\b)[^/\s?#@]{1,200}")  # rustls names a page there
_PROVIDER = re.compile(r"External AWS credential provider: StoreError: ([^\n]{1,1000})")
_TRANSPORT = ("error sending request", "HTTP error", "timed out", "dns error", "connection", "request or response body")
_ACCESS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
_CREDENTIALS = (
    "check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, …) and the bucket's policy"
)

T = TypeVar("T")


class ObjectClient:
    """The objects under one URL, which holds no secret: credentials come from the environment."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = Requests()
        self.prefixes: frozenset[str] = frozenset()  # names with something below them, as of the latest listing
        self._counting = Lock()
        try:
            self._store = _connect(url)
        except (exceptions.BaseError, ValueError, OSError) as error:
            raise self._told(error) from None

    def list(self) -> dict[str, Found]:
        """Return every object whose name has no slash."""
        listed = self._do(lambda: obstore.list_with_delimiter(self._store))
        objects = listed["objects"]
        self.prefixes = frozenset(each.rstrip("/") for each in listed["common_prefixes"])
        self._count(lists=1 + max(len(objects) - 1, 0) // 1000)
        return {meta["path"]: Found(meta["size"], _version_of(meta)) for meta in objects}

    def get(self, name: str, start: int, end: int, *, version: str = "") -> Piece:
        """Return bytes [start, end), fewer at the end; raise FileNotFoundError, Changed if the version is another."""
        options: dict[str, Any] = {"range": (start, max(end, start + 1))}
        if version:
            options["if_match"] = version.partition("\n")[0]

        def read() -> Piece:
            found = obstore.get(self._store, name, options=options)  # type: ignore[arg-type]
            return Piece(bytes(found.bytes()), found.meta["size"], _version_of(found.meta))

        try:
            piece = self._do(read)
        except exceptions.PreconditionError:
            raise Changed(name) from None
        except _EmptyRangeError:  # of an empty object, or behind the end
            piece = Piece(b"", *self.head(name))
        self._count(reads=1, bytes_read=len(piece.data))
        return piece

    def head(self, name: str) -> Found:
        """Return what is known of one object; raise FileNotFoundError."""
        self._count(reads=1)
        meta = self._do(lambda: obstore.head(self._store, name))
        return Found(meta["size"], _version_of(meta))

    def put(self, name: str, data: bytes, *, version: str | None = None) -> str:
        """Write an object as a whole and return its version.

        With `version` only over that one ("": only if there is none); raises Changed if it is not what is there.
        """
        if version is None:
            self._count(writes=1, bytes_written=len(data))
            return _version_of(self._do(lambda: obstore.put(self._store, name, data, use_multipart=False)))
        return self._put_if(name, data, version)

    def _put_if(self, name: str, data: bytes, version: str) -> str:
        e_tag, _, generation = version.partition("\n")
        update = {"e_tag": e_tag} | ({"version": generation} if generation else {})
        mode: Any = update if version else "create"
        for attempt in range(_TRIES):
            self._count(writes=1, bytes_written=len(data))
            try:
                return _version_of(self._do(lambda: obstore.put(self._store, name, data, mode=mode), again=False))
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError, FileNotFoundError):
                if ours := self._is(name, data):
                    return ours  # an earlier try, obstore's or ours, was carried out and its answer lost
                raise Changed(name) from None
            except _LostError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError  # the last attempt returns or raises

    def _is(self, name: str, data: bytes) -> str:
        """Return the version of an object with these contents, "" if it has others."""
        try:
            found = self.get(name, 0, len(data) + 1)
        except FileNotFoundError:
            return ""
        return found.version if found.data == data else ""

    def upload(self, path: Path, name: str, *, replacing: bool) -> None:
        """Send a file, in parts if it is large. Without `replacing`, raise Changed if there is such an object.

        For files in parts that is asked first: a store never gives two files the same name.
        """
        size = path.stat().st_size
        if size <= 2 * PART_BYTES:
            self.put(name, path.read_bytes(), version=None if replacing else "")
            return
        if not replacing:
            try:
                self.head(name)
            except FileNotFoundError:
                pass
            else:
                raise Changed(name)
        self._count(writes=2 + -(-size // PART_BYTES), bytes_written=size)
        self._do(
            lambda: obstore.put(
                self._store,
                name,
                path,
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        )

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._count(writes=1)
        try:
            self._do(lambda: obstore.delete(self._store, name))
        except FileNotFoundError:
            return

    def read(self, name: str, limit: int) -> Content:
        """Return at most `limit` bytes of an object; raise FileNotFoundError."""
        piece = self.get(name, 0, max(limit, 1))
        return Content(piece.data[:limit], piece.version)

    def _count(self, **more: int) -> None:
        with self._counting:
            for field, number in more.items():
                setattr(self.requests, field, getattr(self.requests, field) + number)

    def _do(self, ask: Callable[[], T], *, again: bool = True) -> T:
        """Ask, and say in a line what went wrong: what obstore says goes over many, and quotes the server."""
        try:
            try:
                return ask()
            except exceptions.GenericError as error:
                if not again or not _BROKEN.search(str(error)):
                    raise
                return ask()  # an answer that broke off: obstore asks again for objects, not for lists and errors
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._told(error) from None
            raise FileNotFoundError(2, "No such object", self.url) from None
        except (exceptions.BaseError, ValueError, OSError) as error:
            if _EMPTY_RANGE.search(str(error)):
                raise _EmptyRangeError from None
            raise self._told(error) from None

    def _told(self, error: Exception) -> StoreError:
        text = str(error)
        code, status, where = _CODE.search(text), _STATUS.search(text), _ENDPOINT.search(text)
        at = f" at {where[0]}" if where else ""
        if ours := _PROVIDER.search(text):  # what `aws_profile` says of keys that it cannot renew
            return StoreError(ours[1])
        if "169.254.169.254" in text or "InstanceMetadata" in text or "NoCredentials" in text:
            return StoreError(f"no credentials for {self.url}", hint=_CREDENTIALS)
        if code and code[1] == "NoSuchBucket":
            return StoreError(f"{self.url}: there is no such bucket{at}", hint="kubeshark makes no buckets")
        denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if denied or (code and code[1] in _ACCESS) or (status and status[1].startswith("401")):
            return StoreError(f"{self.url}: access denied{at}{f' ({code[1]})' if code else ''}", hint=_CREDENTIALS)
        if "redirect" in text and not status:
            return StoreError(
                f"{self.url}: the bucket is in another region{at}", hint="set AWS_REGION to that of the bucket"
            )
        if status or code:
            said = f"{status[1].strip() if status else ''} {code[1] if code else ''}".strip()
            return StoreError(f"{self.url}: the server answers {said}{at}")
        if "builder error" in text and at.startswith(" at http:"):
            return StoreError(
                f"{self.url}: the endpoint{at} is not encrypted", hint="set AWS_ALLOW_HTTP=true to use it"
            )
        if any(word in text for word in _TRANSPORT):
            kind = StoreError if _REPEATED.search(text) else _LostError
            return kind(f"{self.url} cannot be reached{at}", hint="check AWS_ENDPOINT_URL and the network")
        first = text.splitlines()[0][:200] if text else type(error).__name__
        return StoreError(f"{self.url}: {_ENDPOINT.sub('the server', first)}")


class _LostError(StoreError):
    """The answer to a write did not come in time, and obstore did not ask again."""


class _EmptyRangeError(Exception):
    """Nothing lies in the range that was asked for."""


def _connect(url: str) -> ObjectStore:
    if url.startswith("memory://"):
        return _memory.setdefault(url, MemoryStore())
    more: dict[str, Any] = {}
    if url.startswith("s3://") and (profile := aws_profile()) is not None:
        said = {"region": profile.region, "endpoint": profile.endpoint}
        more = {
            "credential_provider": profile.credentials,
            "config": {name: value for name, value in said.items() if value},
        }
    return from_url(
        url,
        **more,
        client_options={
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"),  # options hide it
            "user_agent": "kubeshark",
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=MAX_BACKOFF_SECONDS),
                "base": 2,
            },
        },
    )


def _version_of(meta: Any) -> str:
    """Return a text that `put` takes: the ETag, and the generation where the server has one."""
    e_tag, generation = meta.get("e_tag") or "", meta.get("version") or ""
    return f"{e_tag}\n{generation}" if generation else e_tag
