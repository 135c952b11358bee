"""Blocks of packets that were decrypted and inflated, kept between reads: in memory, up to a limit, never on disk.

1. No more than `limit_bytes` of them are kept; those that nobody asked for longest go first.
2. Any number of threads may ask at once. Two that miss the same block both read it: that costs time, not memory.
3. What is evicted is let go of, not overwritten: whoever still reads it holds it, and Python's bytes never change.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from msgspec import Struct

__all__ = ["BlockCache", "BlockKey", "CacheStats"]

BlockKey = tuple[str, int]
"""What names a data file's content (its name and last tag: neither alone is unforgeable), and a block of it."""


class CacheStats(Struct, frozen=True):
    """What is kept now, and how often it was asked for since the store was opened."""

    hits: int = 0
    misses: int = 0
    blocks: int = 0
    bytes: int = 0
    limit_bytes: int = 0


class BlockCache:
    """The blocks of all segments of a store; with `limit_bytes` 0 nothing is kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._blocks: OrderedDict[BlockKey, bytes] = OrderedDict()  # the latest in use last
        self._bytes = 0
        self._hits = self._misses = 0
        self._lock = Lock()

    def __bool__(self) -> bool:
        return self._limit > 0

    def get(self, key: BlockKey) -> bytes | None:
        """Return a block if it is kept."""
        with self._lock:
            block = self._blocks.get(key)
            if block is None:
                self._misses += 1
            else:
                self._hits += 1
                self._blocks.move_to_end(key)
            return block

    def put(self, key: BlockKey, block: bytes) -> None:
        """Keep a block; others go if there is no room, or this one if there is none for it at all."""
        with self._lock:
            if key in self._blocks or len(block) > self._limit:
                return
            self._blocks[key] = block
            self._bytes += len(block)
            while self._bytes > self._limit:
                _, gone = self._blocks.popitem(last=False)
                self._bytes -= len(gone)

    def clear(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._blocks.clear()
            self._bytes = 0

    @property
    def stats(self) -> CacheStats:
        with self._lock:
            return CacheStats(self._hits, self._misses, len(self._blocks), self._bytes, self._limit)
