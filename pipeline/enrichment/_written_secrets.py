"""Secrets by their key in texts that are no whole JSON.

JSON that was cut, is damaged or not quite JSON, JSON inside strings of JSON, lines of it, events; fields of forms, in
queries and in parts of a multipart body. A parser would say of these that they are none, and the secret would be shown;
so they are looked for as they are written: `"password": "…"`, `password=…`, `name="password"`.

The texts are anybody's: no expression goes over a place twice but for a bounded number of characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

__all__ = ["WrittenSecrets"]

LEVELS = 4
"""How deep JSON may stand in strings of JSON."""

_FORMS = (
    r'(?<!\\)"({keys})"\s*:\s*(?:"((?:[^"\\]++|\\.)*+)|([^\s",\\\[\]{{}}]++))',
    r"(?:^|[?&;\s])({keys})=([^&\s;\"'<>]++)",
    r'name="?({keys})"?[^\r\n]{{0,200}}(?:\r?\n[^\r\n]{{1,200}}){{0,4}}\r?\n\r?\n([^\r\n]{{1,1000}})',
)
_WORDS = frozenset({"true", "false", "null"})


class WrittenSecrets:
    """Finds what stands under keys; `keys` maps each, in small letters, to what is shown in its place."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._shown = keys
        longest_first = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
        self._any = re.compile(longest_first, re.IGNORECASE)
        self._inside = re.compile(rf'\\"(?:{longest_first})\\+"', re.IGNORECASE)
        flags = re.IGNORECASE | re.DOTALL | re.MULTILINE
        self._forms = [re.compile(form.format(keys=longest_first), flags) for form in _FORMS]

    def find(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield (secret, what to show instead), each secret in every spelling that it may have elsewhere."""
        if not self._any.search(text):
            return
        for _ in range(LEVELS):
            for form in self._forms:
                for found in form.finditer(text):
                    key, *values = found.groups()
                    written = next(filter(None, values), "")
                    if written and written not in _WORDS:
                        yield from ((secret, self._shown[key.casefold()]) for secret in _spellings(written))
            if not self._inside.search(text):
                return
            text = text.replace('\\"', '"').replace("\\\\", "\\")  # as it reads inside the string


def _spellings(written: str) -> Iterator[str]:
    yield written
    if "\\" in written:
        try:
            yield json.loads(f'"{written}"', strict=False)
        except ValueError:  # cut inside an escape
            yield written.rpartition("\\")[0] or written
    if "%" in written or "+" in written:
        yield unquote_plus(written)
