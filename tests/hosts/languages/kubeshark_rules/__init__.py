"""A language that another package adds: rules in a TOML file that say which word of a line is which field.

    fields = { verb = 0, name = 1 }        # plugin.toml's fields → position of the word

Each line of the client is a request, each of the server a response. A word `loop` never ends, `crash` does at once.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from kubeshark.errors import PluginError
from kubeshark.extension_api._frame import (
    ABI_VERSION,
    DISSECT,
    FIELD,
    ITEM,
    MESSAGE,
    REQUEST_HEADER,
    RESULT_HEADER,
    FieldType,
    ItemFlag,
)
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import Profile

RESULT_MAGIC = 0x3152534B
SANDBOX = Profile(overhead_mb=64)


@dataclass(frozen=True)
class Prepared:
    rules: dict[int, int]  # field id → position of the word


def read_rules(folder: Path, manifest: Manifest) -> dict[int, int]:
    ids = {field.name: number for number, field in enumerate(manifest.fields)}
    rules = tomllib.loads((folder / manifest.entry).read_text("utf-8"))["fields"]
    return {ids[name]: int(position) for name, position in rules.items()}


def build(folder: Path, manifest: Manifest) -> None:
    """Check the rules; there is nothing to compile."""
    try:
        read_rules(folder, manifest)
    except (OSError, KeyError, ValueError) as error:
        raise PluginError(f"{manifest.entry}: {error}", plugin=manifest.label) from error


def prepare(folder: Path, manifest: Manifest) -> Prepared:
    try:
        return Prepared(read_rules(folder, manifest))
    except (OSError, KeyError, ValueError) as error:
        raise InstanceError(f"{manifest.entry}: {error}") from error


def open_instance(prepared: Prepared, manifest: Manifest) -> RulesInstance:
    return RulesInstance(prepared.rules)


class RulesInstance:
    def __init__(self, rules: dict[int, int]) -> None:
        self.hooks = 1 << DISSECT
        self.rules = rules

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:
        _, _, _, items, _, payload, _, _ = REQUEST_HEADER.unpack_from(frame)
        consumed, messages, fields = bytearray(), bytearray(), bytearray()
        for index in range(items):
            item = ITEM.unpack_from(frame, REQUEST_HEADER.size + index * ITEM.size)
            data = bytes(frame[payload + item[0] : payload + item[0] + item[1]])
            at = 0
            while at < len(data):
                end = data.find(b"\n", at)
                if end < 0 and not item[6] & ItemFlag.LAST:
                    break
                end = len(data) if end < 0 else end + 1
                first = len(fields) // FIELD.size
                self.line(data, at, end, fields)
                count = len(fields) // FIELD.size - first
                messages += MESSAGE.pack(index, item[4], 0, count, at, end, 0, first, 0)
                at = end
            consumed += at.to_bytes(4, "little")
        parts = [bytes(part) + bytes(-len(part) % 8) for part in (consumed, messages, fields)]
        total = RESULT_HEADER.size + sum(map(len, parts))
        head = RESULT_HEADER.pack(
            RESULT_MAGIC,
            ABI_VERSION,
            hook,
            items,
            len(messages) // MESSAGE.size,
            len(fields) // FIELD.size,
            0,
            total,
            0,
        )
        out[:total] = b"".join([head, *parts])
        return total

    def line(self, data: bytes, at: int, end: int, fields: bytearray) -> None:
        position = at
        for number, word in enumerate(data[at:end].split(b" ")):
            text = word.rstrip(b"\r\n")
            if text == b"loop":
                while True:
                    pass
            if text == b"crash":
                os.abort()
            if text == b"open":
                Path("/etc/passwd").read_bytes()
            for field, wanted in self.rules.items():
                if wanted == number:
                    fields += FIELD.pack(field, FieldType.ITEM_TEXT, 0, 0, position | len(text) << 32)
            position += len(word) + 1

    def close(self) -> None:
        return
