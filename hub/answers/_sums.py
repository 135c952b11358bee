"""Sums over many entries: run here, told as they grow, ended when nobody waits (docs/hub-api.md, "Sums").

1. A sum is made by queries in order of time. Where one ends early, everything that begins before `counted_until` is in
   it, and nothing behind.
2. Asked for `progress`, the answer is JSON lines: how far it is, and now and then the sum so far; the last line is the
   whole answer. Telling costs at most a tenth of the time.
3. Between two chunks of packets the turn goes to whoever waits for one: a long sum makes nobody wait for its end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from kubeshark.errors import KubesharkError
from kubeshark.hub.answers._client import Client, ClientGone
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.pipeline import Entry, QueryProgress, Run, StoreQuery

__all__ = ["LINES", "Added", "Counted", "Progress", "Seconds", "Sum", "add_up"]

LONGEST_S = 24 * 3600.0
PROGRESS_S = 0.2
PARTIAL_S = 0.5
PARTIAL_SHARE = 10
"""Telling a sum takes one such part of the time at most; and the more there is, the seldomer it is told."""
JSONL = "application/jsonl"
NOTHING = QueryProgress(0, 0, 0, 0, 0)

LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {JSONL: {"schema": {"type": "string", "description": "with `progress`"}}}}
}
"""What else an endpoint answers that takes `progress`."""

Seconds = Annotated[float, Query(gt=0, le=LONGEST_S, description="it ends after so long, and says how far it came")]
Progress = Annotated[bool, Query(description="answer with JSON lines: progress, sums so far, and at last the whole")]


class Counted(BaseModel):
    """How much of what was asked for is in a sum."""

    stopped: str = Field(description='"" if everything was counted')
    counted_until: str = Field(
        default="",
        description="where it stopped: entries that begin earlier were counted; nanoseconds since 1970 as text",
    )

    @classmethod
    def of(cls, query: StoreQuery[Entry]) -> Counted:
        """Say it of a query that has ended, or is in the middle of it."""
        reached = query.reached_ns
        return cls(stopped=query.stopped, counted_until="" if reached is None else str(reached))


A = TypeVar("A", bound=BaseModel)


class Sum(Protocol):
    """Adds up runs of entries, by the columns `fields` of them."""

    @property
    def fields(self) -> Sequence[str]: ...
    def add(self, run: Run) -> None: ...


@dataclass(slots=True)
class Added:
    """A query and the sum of what it finds. Queries of one answer run one behind the other."""

    query: Callable[[dict[str, Any]], StoreQuery[Entry]]  # given what every query of a sum is given
    sum: Sum


@dataclass(slots=True)
class _Adding:
    client: Client
    parts: Sequence[Added]
    seconds: float
    counted: Counted
    began: float
    done: QueryProgress = NOTHING
    before: int = 0  # bytes of the parts that are done

    def steps(self) -> Iterator[bool]:
        """Add up; yield after each chunk, True if a sum has grown, without the turn."""
        with self.client.turn() as turn:
            for number, part in enumerate(self.parts):
                left = max(0.001, self.seconds - (time.monotonic() - self.began))
                found = part.query(
                    {"max_seconds": left, "gave_up": self.client.has_left, "on_progress": self._on_progress}
                )
                has_grown = False
                runs = found.runs(part.sum.fields, beats=True)
                try:
                    for run in runs:
                        if len(run):
                            part.sum.add(run)
                            has_grown = True
                            continue
                        self.counted = Counted.of(found)  # between chunks: all before it is in the sum
                        turn.give()
                        yield has_grown and number == len(self.parts) - 1
                        has_grown = False
                        if not turn.take():
                            break
                finally:
                    runs.close()
                self.client.go_on()
                self.counted = Counted.of(found)
                if found.stopped:
                    self.counted.stopped = f"stopped after {self.seconds:g} s"
                    return
                self.before, self.done = self.before + self.done.total, NOTHING

    def _on_progress(self, progress: QueryProgress) -> None:
        self.done = progress

    def figures(self) -> dict[str, Any]:
        return {
            "bytes_read": self.before + self.done.done,
            "bytes_total": self.before + self.done.total,
            "counted_until": self.counted.counted_until,
            "seconds": round(time.monotonic() - self.began, 3),
        }


def add_up(
    client: Client, parts: Sequence[Added], answer: Callable[[Counted], A], *, seconds: float, progress: bool
) -> A | ClosingStream:
    """Run the queries, and answer with what `answer` makes of their sums: at its end, or in lines as it grows.

    Only of the last part the sum so far is told: what compares two of them says nothing before the first is whole.
    """
    client.hub.figures.add(queries=1)
    adding = _Adding(client, parts, seconds, Counted(stopped=""), time.monotonic())
    if progress:
        return ClosingStream(_lines(adding, answer), JSONL)
    for _ in adding.steps():
        pass
    return answer(adding.counted)


def _lines(adding: _Adding, answer: Callable[[Counted], A]) -> Generator[str, None, None]:
    told = partial_at = time.monotonic()
    has_grown = False
    yield _line("progress", adding.figures())
    try:
        for grew in adding.steps():
            has_grown |= grew
            now = time.monotonic()
            if has_grown and now >= partial_at:
                sum_so_far = answer(Counted(stopped="", counted_until=adding.counted.counted_until))
                line = _line("partial", adding.figures(), sum_so_far)
                told = time.monotonic()
                partial_at = told + max(PARTIAL_S, PARTIAL_SHARE * (told - now), (told - adding.began) / PARTIAL_SHARE)
                has_grown = False
                yield line
            elif now - told >= PROGRESS_S:
                told = now
                yield _line("progress", adding.figures())
        yield _line("done", adding.figures(), answer(adding.counted))
    except ClientGone:
        return
    except KubesharkError as error:
        yield json.dumps({"op": "error", "message": str(error)}) + "\n"


def _line(op: str, figures: dict[str, Any], answer: BaseModel | None = None) -> str:
    document = {"op": op, **figures}
    if answer is not None:
        document["answer"] = answer.model_dump(mode="json")
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
