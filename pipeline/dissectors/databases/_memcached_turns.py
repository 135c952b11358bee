"""Which request of the text protocol got which answer, and so where requests end.

1. A server that refuses a command line reads its data block as commands: each line has an answer, mostly ERROR.
2. A block that is longer than its line says spoils that command; what is left of it is read as a command, too.
3. Nobody knows where a server is behind bytes that were not captured: requests are then read as if all were right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeshark.extension_api import StreamSide
from kubeshark.pipeline.dissectors._lines import next_line
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._memcached_text import MAX_LINE, REQUEST_LINE, STORAGE, Unit, request_at

__all__ = ["Turns", "read_requests", "text_keys"]

MAX_KEY = 250
MAX_WORDS = 6
"""Of a storage command; `cas` has one more."""
_BAD_LINE = "bad command line format"
_BAD_DATA = "bad data chunk"
_WHAT_QUIET_SENDS = {
    "ms": ("NS", "EX", "NF"),
    "md": ("EX",),
    "ma": ("VA", "NS", "EX"),
}
"""Answers that the flag `q` does not suppress, besides errors."""


class Turns:
    """Hands out the answers of a stream to its requests, if one of them tells of a refusal."""

    def __init__(self, sides: Sequence[StreamSide] = (), answers: Sequence[Unit] = ()) -> None:
        self._sides = sides
        is_known = not any(side.gaps or side.starts_midway for side in sides)
        is_needed = is_known and any(answer.status in ("ERROR", "CLIENT_ERROR") for answer in answers)
        self._answers = [answer for answer in answers if not answer.is_event] if is_needed else []
        self._at = 0

    def next(self, start: int) -> Unit | None:
        """Return the answer that a request at `start` would get."""
        if self._at >= len(self._answers):
            return None
        asked_at = self._sides[0].time_at(start)
        while self._sides[1].time_at(self._answers[self._at].start) < asked_at:
            self._at += 1
            if self._at >= len(self._answers):
                return None
        return self._answers[self._at]

    def take(self, request: Unit) -> Unit | None:
        """Return the answer to the next request; None if it has none."""
        answer = None if request.is_silent else self.next(request.start)
        if answer is None or _has_no_answer(request, answer):
            return None
        self._at += 1
        return answer

    def is_error(self, start: int) -> bool:
        """Say whether what begins at `start` is no command to the server."""
        answer = self.next(start)
        return answer is not None and answer.status == "ERROR"


def read_requests(wire: Wire, turns: Turns) -> Iterator[Unit]:
    data, at, size = wire.data, 0, len(wire.data)
    if wire.starts_midway:
        at = next_line(data, 0, REQUEST_LINE, MAX_LINE)
    while at < size:
        if data[at] in b"\r\n":
            end = at + 1 + data.startswith(b"\r\n", at)
            if data[end - 1] == 0x0A and turns.is_error(at):
                unit = Unit(at, end)
                turns.take(unit)
                yield unit
            at = end
            continue
        unit = request_at(wire, at)
        is_settled = _settle(unit, turns.take(unit), wire, turns)
        if unit.error and unit.end < size and not is_settled:
            unit.end = next_line(data, max(unit.end, at + 1), REQUEST_LINE, MAX_LINE)
        yield unit
        at = unit.end


def _settle(unit: Unit, answer: Unit | None, wire: Wire, turns: Turns) -> bool:
    """Let a request that was refused end where the server went on reading; False where nothing tells of that."""
    if not unit.line_end:
        return False
    if unit.command in STORAGE or unit.command == "ms":
        words = wire.data[unit.start : unit.line_end].split()
        has_long_key = len(words) > 1 and len(words[1]) > MAX_KEY
        is_lost = unit.is_silent and has_long_key and turns.is_error(unit.line_end)  # `noreply` hid the first answer
        if is_lost or (answer and _is_line_refused(unit, answer, words, has_long_key=has_long_key)):
            unit.end = unit.line_end
            for item in unit.items:
                item.start = item.end = unit.end
                unit.error = ""
            return True
        if unit.error and unit.items and answer and answer.message == _BAD_DATA and turns.is_error(unit.start):
            unit.end = min(unit.line_end + unit.items[0].size + len("\r\n"), len(wire.data))
            return True
        return False
    return answer is not None and answer.status == "ERROR"


def _is_line_refused(unit: Unit, answer: Unit, words: Sequence[bytes], *, has_long_key: bool) -> bool:
    """Say whether the server read no data block behind a storage command (as memcached 1.6.18 does)."""
    if answer.status == "CLIENT_ERROR" and answer.message == _BAD_LINE:
        return unit.command != "ms" or has_long_key or not (len(words) > 2 and words[2].isdigit())
    has_arguments = not unit.error.startswith("malformed: a storage") and len(words) - (words[0] == b"cas") <= MAX_WORDS
    return answer.status == "ERROR" and not has_arguments


def text_keys(requests: list[Unit], answers: list[Unit], sides: Sequence[StreamSide]) -> list[list[str]]:
    """Number requests and answers so that quiet requests without an answer are skipped; "" where nothing is quiet."""
    if not any(unit.is_quiet for unit in requests):
        return [[""] * len(requests), [""] * len(answers)]
    keys: list[str] = []
    at = 0
    for answer in answers:
        while at < len(requests) and _has_no_answer(requests[at], answer):
            requests[at].is_silent = True
            at += 1
        is_due = at < len(requests) and sides[1].time_at(answer.start) >= sides[0].time_at(requests[at].start)
        keys.append(str(at) if is_due and not answer.is_event else "none")
        at += is_due and not answer.is_event
    for request in requests[at:]:
        request.is_silent = request.is_silent or request.is_quiet
    return [[str(number) for number in range(len(requests))], keys]


def _has_no_answer(request: Unit, answer: Unit) -> bool:
    if request.is_silent:
        return True
    if not request.is_quiet:
        return False
    names = {option[:1]: option[1:] for option in answer.options}
    asked = {option[:1]: option[1:] for option in request.options}
    told: Sequence[str] = _WHAT_QUIET_SENDS.get(request.command, ())
    if request.command == "mg":  # a hit: with its value if that was asked for
        told = ("VA",) if "v" in asked else ("HD",)
    if answer.status not in told:
        return not answer.status.endswith("ERROR")
    if "O" in asked or "O" in names:
        return names.get("O") != asked.get("O")
    return "k" in names and names["k"] != (request.keys or [""])[0]
