"""What the database dissectors share: a checked cursor over one message, and which side spoke when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal

from kubeshark.extension_api import CarvedSide, Stream
from kubeshark.pipeline.dissectors._text import text

__all__ = [
    "REDACTED",
    "SHOWN_ITEMS",
    "Arrival",
    "Cursor",
    "Short",
    "by_direction",
    "first_words",
    "hex_text",
    "looks_like_sql",
]

REDACTED = "[redacted]"
"""Stands for every password and every authentication payload."""

SHOWN_ITEMS = 100
"""Rows of a result, columns and parameters that a document shows (entries.md §6)."""

SHOWN_BYTES = 4096
"""Bytes of a value without text form that a document shows."""

SQL_VERBS = frozenset(
    b"SELECT INSERT UPDATE DELETE REPLACE MERGE WITH VALUES TABLE CREATE ALTER DROP TRUNCATE RENAME SET SHOW USE BEGIN"
    b" START COMMIT ROLLBACK SAVEPOINT RELEASE ABORT END PREPARE EXECUTE DEALLOCATE CALL DO DECLARE FETCH CLOSE MOVE"
    b" EXPLAIN DESCRIBE DESC ANALYZE VACUUM COPY LOAD LOCK UNLOCK GRANT REVOKE LISTEN NOTIFY UNLISTEN RESET DISCARD"
    b" CHECKPOINT COMMENT REFRESH REINDEX CLUSTER IMPORT REASSIGN SECURITY KILL FLUSH OPTIMIZE CHECK REPAIR HANDLER XA"
    b" PURGE INSTALL UNINSTALL HELP CHANGE STOP SHUTDOWN BINLOG CACHE CHECKSUM SIGNAL RESIGNAL GET IF EXEC"
    b" IDENTIFY_SYSTEM START_REPLICATION BASE_BACKUP TIMELINE_HISTORY READ_REPLICATION_SLOT LIST BATCH"
    b" CREATE_REPLICATION_SLOT DROP_REPLICATION_SLOT".split()
)


class Short(ValueError):
    """A message ends before the value that should be read from it."""


class Cursor:
    """Reads the values of one message in order; Short where it ends before them."""

    __slots__ = ("at", "data", "order")

    def __init__(self, data: bytes, at: int = 0, order: Literal["big", "little"] = "big") -> None:
        self.data = data
        self.at = at
        self.order: Literal["big", "little"] = order

    @property
    def left(self) -> int:
        """Return how many bytes were not read."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise Short(f"{count} bytes wanted at {self.at}, {self.left} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.order)

    def int(self, size: int) -> int:
        return int.from_bytes(self.take(size), self.order, signed=True)

    def until_nul(self) -> bytes:
        """Return the bytes before the next zero byte, which is consumed."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise Short(f"no zero byte behind {self.at}")
        found = self.data[self.at : end]
        self.at = end + 1
        return found

    def rest(self) -> bytes:
        return self.take(self.left)


class Arrival:
    """Orders bytes of both sides: by the run of packets from one side that carried them."""

    __slots__ = ("_starts", "_turns")

    def __init__(self, stream: Stream) -> None:
        self._starts: tuple[list[int], list[int]] = ([], [])
        self._turns: tuple[list[int], list[int]] = ([], [])
        for number, (direction, start, _) in enumerate(stream.turns()):
            self._starts[direction].append(start)
            self._turns[direction].append(number)

    def turn(self, direction: int, offset: int) -> int:
        """Return the ordinal of the run that carried the byte at `offset` of this side."""
        at = bisect_right(self._starts[direction], offset) - 1
        return self._turns[direction][at] if at >= 0 else 0


def by_direction(client: int, asking: CarvedSide, answering: CarvedSide) -> tuple[CarvedSide, CarvedSide]:
    """Return both sides in the stream's order; `client` is the direction of the one that asks."""
    return (asking, answering) if client == 0 else (answering, asking)


def hex_text(data: bytes) -> str:
    """Return the hexadecimal text of a value's first bytes."""
    return data[:SHOWN_BYTES].hex() + ("…" if len(data) > SHOWN_BYTES else "")


def first_words(statement: str, count: int = 1) -> str:
    """Return the first words of an SQL statement in capitals, comments and parentheses before them left out."""
    words: list[str] = []
    for word in _words(statement):
        words.append(word)
        if len(words) == count:
            break
    return " ".join(words)


HEAD_CHARACTERS = 4096


def _words(statement: str) -> Iterator[str]:
    at, limit = 0, min(len(statement), HEAD_CHARACTERS)
    while at < limit:
        if statement.startswith(("/*!", "/*M!"), at):  # MySQL, MariaDB run what such a comment holds, from a version on
            at = statement.index("!", at) + 1
            while at < limit and statement[at].isdigit():
                at += 1
        elif statement.startswith("/*", at):
            at = _behind(statement, "*/", at + 2)
        elif statement.startswith(("--", "#"), at):
            at = _behind(statement, "\n", at)
        elif statement[at].isalpha() or statement[at] == "_":
            end = at
            while end < limit and (statement[end].isalnum() or statement[end] == "_"):
                end += 1
            yield statement[at:end].upper()
            at = end
        elif statement[at].isspace() or statement[at] in "(;\ufeff":
            at += 1
        else:
            return


def _behind(statement: str, mark: str, at: int) -> int:
    found = statement.find(mark, at)
    return len(statement) if found < 0 else found + len(mark)


def looks_like_sql(data: bytes) -> bool:
    """Say whether these bytes begin like an SQL statement: text, with a verb we know first."""
    head = data[:256]
    if not head or b"\0" in head:
        return False
    verb = first_words(text(head)).encode("ascii", "replace")
    return verb in SQL_VERBS
