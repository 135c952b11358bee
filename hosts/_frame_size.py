"""How much of a plugin's work one frame holds: an exchange costs as much as parsing a hundred items, in two processes.

Frames grow while their results and their time stay far below what a frame may have, and are halved when they come near.
A larger frame is a bet: where it is lost, nobody is blamed, the pieces are given again, and frames stay small.
"""

from __future__ import annotations

from kubeshark.extension_api._frame import MAX_DISSECT_ITEMS, MAX_FRAME_PAYLOAD, RESULT_BYTES

__all__ = ["MOST_PAYLOAD", "FrameSize"]

MOST_PAYLOAD = 2 << 20  # with its table it fits REQUEST_BYTES; 4 MiB would not be faster
MEMORY_SHARE = 128  # a plugin's memory holds a frame this many times: copies, results, what it makes of them
CAUTION = 4  # results may suddenly be so many times larger, or take so many times longer, without harm


class FrameSize:
    """The bounds of the next frame of one plugin's `dissect`."""

    def __init__(self, memory_mb: int) -> None:
        """`memory_mb` is the plugin's limit."""
        self._payload = MAX_FRAME_PAYLOAD
        self._most = min(MOST_PAYLOAD, (memory_mb << 20) // MEMORY_SHARE)

    def bounds(self) -> tuple[int, int]:
        """Return the most items and the most bytes of payload."""
        return MAX_DISSECT_ITEMS * self._payload // MAX_FRAME_PAYLOAD, self._payload

    @property
    def is_grown(self) -> bool:
        return self._payload > MAX_FRAME_PAYLOAD

    def note(self, request: int, result: int, time_share: float) -> None:
        """A frame of `request` bytes was answered with `result` bytes, in this part of its time."""
        room = 1 / max(result / RESULT_BYTES, time_share, 1e-6)
        safe = request * room / CAUTION
        if safe < self._payload:
            self._payload = max(MAX_FRAME_PAYLOAD, self._payload // 2)
        elif self._payload // 2 < request and 2 * self._payload <= min(safe, self._most):
            self._payload *= 2

    def lose(self) -> None:
        """A grown frame failed, and none of its items did alone."""
        self._payload = self._most = MAX_FRAME_PAYLOAD
