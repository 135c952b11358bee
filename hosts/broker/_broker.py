"""Answers what a plugin asks for while one of its hooks runs, by what it was granted: see docs/plugins/permissions.md.

The broker belongs to the embedding side: it never runs in a plugin's process, and nothing a request says is believed.

    broker = Broker(grants, own_folder=plugins_folder() / ".data" / "my-plugin")
    broker.begin(JOB)                 # before each call of a hook: what it may ask, and how much, counts from here
    answer = broker.answer(request)   # bytes to bytes (extension_api/_services.py); never raises for what they say
    broker.cancel()                   # from any thread, for good: a request under way ends within milliseconds
    broker.close()

Contract:

1. Whatever the bytes, `answer` returns a message: OK with results, or a status and one line. Only AskedTooMuchError
   is raised, after which the plugin is to be ended.
2. An HTTP request takes at most NETWORK_S. Files are local; operations that hosts add keep their own deadlines.
3. One call of a hook gets at most MAX_REQUESTS answers and BROKER_S seconds of our time.
4. Hosts add operations of their own with `operations` (name → function of the parts, that returns parts or raises
   ServiceError); they replace none of the built-in ones. `hooks` says in which hooks any may be asked for.

`network` and `folder_for(path)` may be used directly by a host that acts for a plugin: they keep to the same grants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kubeshark.extension_api._manifest import HOOK_NUMBERS
from kubeshark.extension_api._permissions import OWN_FOLDER, Grants, PathGrant
from kubeshark.extension_api._services import (
    MAX_MESSAGE,
    SERVICE_HOOK_BITS,
    SERVICE_HOOKS,
    SERVICES,
    MessageError,
    Status,
    pack,
    unpack,
)
from kubeshark.hosts.broker._files import QUOTA_BYTES, FileError, Folder

if TYPE_CHECKING:
    from kubeshark.hosts.broker._http import Network

__all__ = ["BROKER_S", "MAX_REQUESTS", "NETWORK_S", "AskedTooMuchError", "Broker", "Operation", "ServiceError"]

NETWORK_S = 10.0  # one HTTP request, redirects included
BROKER_S = 30.0  # all requests of one call of a hook
MAX_REQUESTS = 1000  # of one call of a hook
MAX_READ = MAX_MESSAGE - 4096  # of a file, so that the answer fits

_T = TypeVar("_T")
Operation = Callable[[Sequence[bytes]], Sequence[bytes]]

_PARAMETERS = {service.name: service.parameters for service in SERVICES}
_HOOK_NAMES = {number: name for name, number in HOOK_NUMBERS.items()}


class ServiceError(Exception):
    """Why an operation was not done: a status and one line."""

    def __init__(self, status: Status, message: str) -> None:
        self.status = status
        super().__init__(message)


class AskedTooMuchError(Exception):
    """A plugin asks without end."""


class Broker:
    """Serves one plugin. One thread at a time, but for `cancel`."""

    def __init__(
        self,
        grants: Grants | None = None,
        *,
        own_folder: Path | None = None,
        operations: Mapping[str, Operation] | None = None,
        hooks: int = SERVICE_HOOK_BITS,
        quota_bytes: int = QUOTA_BYTES,
    ) -> None:
        """`own_folder` is what the path grant "data" stands for, made when first used; without one there is none."""
        self.grants = grants or Grants()
        self.hooks = hooks
        self._own_folder = own_folder
        self._quota_bytes = quota_bytes
        self._folders: dict[str, Folder] = {}
        self._network: Network | None = None
        self._cancelled = False
        self._hook = 0
        self._left = MAX_REQUESTS
        self._seconds = BROKER_S
        self.spent_s = 0.0  # of this call
        self.requests = 0  # ever
        self._operations: dict[str, Operation] = {
            **(operations or {}),
            "http": self._http,
            "file_read": lambda parts: [self._at(parts[0], lambda folder, path: folder.read(path, MAX_READ))],
            "file_write": lambda parts: self._done(parts[0], lambda folder, path: folder.write(path, parts[1])),
            "file_append": lambda parts: self._done(
                parts[0], lambda folder, path: folder.write(path, parts[1], append=True)
            ),
            "file_list": self._list,
            "file_delete": lambda parts: self._done(parts[0], lambda folder, path: folder.delete(path)),
            "file_make_folder": lambda parts: self._done(parts[0], lambda folder, path: folder.make_folder(path)),
            "file_move": self._move,
        }

    def begin(self, hook: int, seconds: float = BROKER_S) -> None:
        """A call of this hook begins; it gets so many seconds of our time."""
        self._hook, self._left, self.spent_s, self._seconds = hook, MAX_REQUESTS, 0.0, min(seconds, BROKER_S)

    def answer(self, request: bytes | bytearray | memoryview) -> bytes:
        """Do what a request asks for and return the answer; AskedTooMuchError if there were too many in this call."""
        if self._left <= 0:
            raise AskedTooMuchError(f"asked for more than {MAX_REQUESTS:,} things in one call")
        if self.spent_s >= self._seconds:
            raise AskedTooMuchError(f"asked for things that took more than {self._seconds:.0f} s in one call")
        self._left -= 1
        self.requests += 1
        began = time.monotonic()
        try:
            answer = pack(Status.OK, self._do(request))
        except ServiceError as error:
            answer = pack(error.status, [str(error).encode("utf-8", "replace")])
        finally:
            self.spent_s += time.monotonic() - began
        if len(answer) > MAX_MESSAGE:
            text = f"the answer has {len(answer):,} bytes, at most {MAX_MESSAGE:,} fit"
            return pack(Status.FAILED, [text.encode()])
        return answer

    def cancel(self) -> None:
        """End what is under way; everything later is answered at once, with a failure."""
        self._cancelled = True
        if self._network is not None:
            self._network.cancel()

    def close(self) -> None:
        """Free the folders; twice is fine."""
        self.cancel()
        folders, self._folders = self._folders, {}
        for folder in folders.values():
            folder.close()

    @property
    def network(self) -> Network:
        """What sends this plugin's requests."""
        if self._network is None:
            from kubeshark.hosts.broker._http import Network  # with ssl: 30 ms that few plugins need

            self._network = Network(self.grants)
        return self._network

    def folder_for(self, path: str) -> tuple[Folder, str]:
        """Return the granted folder that a path lies in and the rest of the path; ServiceError if none was granted."""
        grant, rest = self._grant(path)
        if grant.text not in self._folders:
            place = Path(grant.path)
            if grant.path == OWN_FOLDER:
                if self._own_folder is None:
                    raise ServiceError(Status.REFUSED, f'there is no folder "{OWN_FOLDER}" here')
                place = self._own_folder
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folders[grant.text] = Folder(
                place, writable=grant.writable, quota_bytes=self._quota_bytes, counts_all=grant.path == OWN_FOLDER
            )
        return self._folders[grant.text], rest

    def _grant(self, path: str) -> tuple[PathGrant, str]:
        """The longest grant that the path begins with."""
        own = [grant for grant in self.grants.paths if path == grant.path or path.startswith(f"{grant.path}/")]
        if not own:
            raise ServiceError(Status.REFUSED, f'permission "paths: {path[:200]}" not granted')
        best = max(own, key=lambda grant: (len(grant.path), grant.writable))
        return best, path[len(best.path) + 1 :]

    def _do(self, request: bytes | bytearray | memoryview) -> Sequence[bytes]:
        try:
            code, parts = unpack(request)
        except MessageError as error:
            raise ServiceError(Status.INVALID, f"the request is {error}") from error
        name = parts[0].decode("utf-8", "replace") if parts else ""
        operation = self._operations.get(name)
        if operation is None or code:
            raise ServiceError(Status.INVALID, f"there is no service {name[:40]!r}")
        if not self.hooks >> self._hook & 1:
            hook = _HOOK_NAMES.get(self._hook, "this hook")
            raise ServiceError(
                Status.REFUSED, f"{name} cannot be asked for in {hook}, only in {', '.join(SERVICE_HOOKS)}"
            )
        wanted = _PARAMETERS.get(name)
        if wanted is not None and len(parts) != 1 + len(wanted):
            raise ServiceError(Status.INVALID, f"{name} takes {len(wanted)} arguments, not {len(parts) - 1}")
        if self._cancelled:
            raise ServiceError(Status.FAILED, "the plugin is being closed")
        try:
            return operation(parts[1:])
        except FileError as error:
            raise ServiceError(Status.FAILED, str(error)) from error
        except OSError as error:
            raise ServiceError(Status.FAILED, f"{name}: {error.strerror or error}") from error

    def _http(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        from kubeshark.hosts.broker._http import HttpError, LateError, RefusedError

        method, url, lines, body = _text(parts[0]), _text(parts[1]), parts[2].decode("latin-1"), parts[3]
        headers = []
        for line in lines.split("\n"):
            name, colon, value = line.removesuffix("\r").partition(":")
            if not line.strip():
                continue
            if not colon:
                raise ServiceError(Status.INVALID, f"header {line[:40]!r} has no colon")
            headers.append((name, value.strip(" \t")))
        try:
            seconds = min(NETWORK_S, max(0.1, self._seconds - self.spent_s))
            response = self.network.request(method, url, headers, body, seconds)
        except RefusedError as error:
            raise ServiceError(Status.REFUSED, str(error)) from error
        except LateError as error:
            raise ServiceError(Status.TOO_LATE, str(error)) from error
        except HttpError as error:
            raise ServiceError(Status.FAILED, str(error)) from error
        shown = "".join(f"{name}: {' '.join(value.split())}\n" for name, value in response.headers)
        texts = (str(response.status), response.reason, response.url, shown)
        return [*(text.encode("latin-1", "replace") for text in texts), response.body]

    def _list(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        rows = self._at(parts[0], lambda folder, path: folder.list(path))
        return [
            part for row in rows for part in (row.name.encode("utf-8", "replace"), row.kind.encode(), b"%d" % row.size)
        ]

    def _move(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        folder, source = self.folder_for(_text(parts[0]))
        other, target = self.folder_for(_text(parts[1]))
        if other is not folder:
            raise ServiceError(Status.FAILED, "source and target lie in different granted folders")
        folder.move(source, target)
        return []

    def _at(self, path: bytes, do: Callable[[Folder, str], _T]) -> _T:
        folder, rest = self.folder_for(_text(path))
        return do(folder, rest)

    def _done(self, path: bytes, do: Callable[[Folder, str], None]) -> Sequence[bytes]:
        self._at(path, do)
        return []


def _text(part: bytes) -> str:
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ServiceError(Status.INVALID, "a text of the request is not UTF-8") from error
