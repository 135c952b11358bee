"""What scripts wait for: helpers that need the answer of this process, by name. What goes wrong is the helper's throw.

Everything a script asks with is untrusted: arguments are checked by who uses them, and whatever is raised becomes text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kubeshark.errors import KubesharkError
from kubeshark.hosts.broker import FileError, ServiceError
from kubeshark.hosts.broker._http import HttpError
from kubeshark.pipeline.scripts._files import ScriptFiles
from kubeshark.pipeline.scripts._kfl import ScriptFilters
from kubeshark.pipeline.scripts._packets import SeenStreams
from kubeshark.pipeline.scripts._script import Script
from kubeshark.pipeline.scripts._vendors import Vendors

__all__ = ["Answers"]

MAX_ANSWER = 3 << 20


class Answers:
    """One script's. `items` are the variables of the entries of the call under way, by place."""

    def __init__(
        self,
        script: Script,
        filters: ScriptFilters,
        streams: SeenStreams,
        files: Callable[[], ScriptFiles],
        vendors: Vendors,
        targets: Callable[[], Any],
        file_lock: AbstractContextManager[Any],
    ) -> None:
        """`file_lock` is the script's, in all its roles."""
        self.script = script
        self.items: list[Mapping[str, Any]] = []
        self.vendors = vendors
        self._filters = filters
        self._streams = streams
        self._file_lock = file_lock
        self._files = files
        self._operations: dict[str, Callable[..., Any]] = {
            "kfl.match": self._match,
            "kfl.validate": self._validate,
            "allow": self._allow,
            "pcap.path": self._path,
            "pcap.snapshot": self._snapshot,
            "pcap.nameResolutionHistory": dict,  # nobody resolves names yet: nothing changed
            "hub.targeted": lambda: json.dumps(targets()),
            "file.write": lambda path, text: files().write(path, text),
            "file.append": lambda path, text: files().append(path, text),
            "file.move": lambda source, target: files().move(source, target),
            "file.copy": lambda source, target: files().copy(source, target),
            "file.delete": lambda path: files().delete(path),
            "file.mkdir": lambda path: files().mkdir(path),
            "file.mkdirTemp": lambda name="", folder="": files().mkdir_temp(name or "", folder or ""),
            "file.temp": lambda name="", folder="", extension="txt": files().temp(name or "", folder or "", extension),
            "file.tar": lambda folder="": files().tar(folder or ""),
            "vendor.webhook": vendors.webhook,
            "vendor.webhookForm": vendors.webhook_form,
            "vendor.slackBot": vendors.slack_bot,
            "vendor.s3.put": vendors.s3_put,
            "vendor.s3.clear": vendors.s3_clear,
            "vendor.gcs.put": vendors.gcs_put,
            "vendor.gcs.clear": vendors.gcs_clear,
            "vendor.kinesis.put": vendors.kinesis_put,
            "chatgpt.prompt": vendors.prompt,
        }

    def answer(self, name: str, values: list[Any]) -> bytes:
        """Return JSON in ASCII: {"value": …} or {"error": text}."""
        try:
            answer = json.dumps({"value": self._value(name, values)}, ensure_ascii=True)
        except (FileError, ServiceError, HttpError, ValueError) as error:
            answer = _failure(str(error))
        except KubesharkError as error:
            answer = _failure(error.message)
        except Exception as error:  # noqa: BLE001 (whatever arguments of the wrong type lead to, the script is told)
            answer = _failure(f"{name}: {str(error).splitlines()[0][:300] if str(error) else type(error).__name__}")
        if len(answer) > MAX_ANSWER:
            answer = _failure(f"an answer of {len(answer):,} bytes is too large")
        return answer.encode("ascii")

    def _value(self, name: str, values: list[Any]) -> Any:
        if name not in self._operations:
            raise ValueError(f"there is no helper {name[:40]!r}")
        with self._file_lock if name.startswith(("file.", "pcap.")) else nullcontext():
            return self._operations[name](*values)

    def needs(self, permission: str) -> None:
        if permission not in self.script.grants:
            raise ValueError(f'permission "{permission}" not granted')

    def _match(self, query: str, document: Any, place: int | None = None) -> bool:
        if place is not None and isinstance(place, int) and 0 <= place < len(self.items):
            return self._filters.match(query, self.items[place])
        return self._filters.match(query, self._filters.document(document if isinstance(document, Mapping) else {}))

    def _validate(self, query: str) -> bool:
        try:
            self._filters.compile(query)
        except ValueError:
            return False
        return True

    def _allow(self, what: str, url: Any = "", cloud_id: Any = "") -> None:
        if what == "url":
            self.vendors.check(url or (self.vendors.elastic_cloud(str(cloud_id)) if cloud_id else ""))
        else:
            self.needs(what)

    def _path(self, stream: Any) -> str:
        self.needs("pcap")
        if stream not in self._streams:
            raise ValueError(f"unknown stream {str(stream)[:40]!r}")
        return self._files().promise(f"{stream}.pcap", [stream])

    def _snapshot(self, streams: Any = None, folder: Any = None) -> str:
        self.needs("pcap")
        files = self._files()
        if isinstance(streams, str):
            streams, folder = None, streams
        path = files.stamped("", ".pcap")
        if streams:
            unknown = next((stream for stream in streams if stream not in self._streams), None)
            if unknown is not None:
                raise ValueError(f"unknown stream {str(unknown)[:40]!r}")
            return files.promise(path, streams)
        if folder:
            return files.write_bytes(path, files.merge(folder))
        return files.promise(path, self._streams.of_last_hour())


def _failure(text: str) -> str:
    return json.dumps({"error": " ".join(text.split())[:1000]}, ensure_ascii=True)
