"""RE2 patterns: linear time on any text, which Python's `re` cannot promise for a pattern a user typed.

The only module that knows google-re2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

__all__ = ["PatternError", "searcher"]

MAX_PROGRAM_BYTES = 1 << 20
"""Memory of one compiled pattern: `x{1000}{1000}` is refused instead of built."""


class PatternError(ValueError):
    """The text is no RE2 pattern; the message is RE2's."""


@lru_cache(maxsize=128)
def searcher(pattern: str) -> Callable[[str], bool]:
    """Return the unanchored search for a pattern. Raise PatternError."""
    import re2  # type: ignore[import-untyped]  # here, because most filters have no pattern

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        compiled = re2.compile(pattern.encode("utf-8"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        raise PatternError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
    except UnicodeEncodeError:
        raise PatternError("not valid Unicode") from None
    search = compiled.search

    def matches(text: str) -> bool:
        # Lone surrogates come from JSON escapes such as "\ud800"; no pattern can name them.
        return search(text.encode("utf-8", "replace")) is not None

    return matches
