"""One query of a WebSocket: read, dissected and encoded in a thread of its own, while it has a turn of the pool.

It gives the turn back while it waits for the client, and ends with exactly one `done` or `error`; a cancelled one at
once, whatever its thread is in the middle of. Where redaction rules change meanwhile, it begins again behind what was
sent: no later batch is made by the old ones.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub.access._rights import Principal
from kubeshark.hub.answers._parameters import read_time
from kubeshark.hub.entries._batches import BatchEncoder
from kubeshark.hub.entries._columns import ListColumns
from kubeshark.hub.entries._live import Live
from kubeshark.hub.entries._said import Query
from kubeshark.hub.state._hub import Hub, complain
from kubeshark.hub.state._pool import TooManyError, Turn
from kubeshark.pipeline import Entry, Follow, Pipeline, QueryProgress, Run, StoreQuery, cursor_behind

__all__ = ["RunningQuery"]

UNACKNOWLEDGED = 4
FIRST_ROWS, ROWS = 100, 2_000
PROGRESS_S = 0.1


class RunningQuery:
    """One query, in a thread of its own; `put` takes what it says, from any thread."""

    def __init__(
        self, hub: Hub, principal: Principal, said: Query, put: Callable[[bytes | dict[str, Any]], None]
    ) -> None:
        self._hub = hub
        self._principal = principal
        self._said = said
        self._put = put
        self._encoder = BatchEncoder(said.id)
        self._query: StoreQuery[Entry] | None = None
        self._follow: Follow | None = None
        self._changed = threading.Condition()
        self._acknowledged = 0
        self._sent = 0
        self._rows = 0
        self._cursor: str | None = None
        self._is_over = False  # the client has been told, or is gone
        self._is_live = False  # what was stored has been sent
        self._began = time.monotonic()
        self._progress = QueryProgress(0, 0, 0, 0, 0)
        self._told = 0.0

    # from the event loop

    def acknowledge(self, batch: int) -> None:
        with self._changed:
            self._acknowledged = max(self._acknowledged, min(batch, self._sent))
            self._changed.notify_all()

    def cancel(self) -> None:
        self._hub.figures.add(queries_cancelled=1)
        self._end({**self._figures(), "op": "done", "cursor": self._cursor, "stopped": "cancelled", "problems": []})

    def abandon(self) -> None:
        """The client is gone."""
        self._hub.figures.add(queries_cancelled=1)
        self._end(None)

    def _end(self, message: dict[str, Any] | None) -> None:
        with self._changed:
            if self._is_over:
                return
            self._is_over = True
            if message is not None:
                self._put(message)
            self._changed.notify_all()
        if self._query is not None:
            self._query.cancel()
        if self._follow is not None:
            self._follow.stop()

    # in the thread

    def run(self) -> None:
        figures, identifier = self._hub.figures, self._said.id
        figures.add(queries=1)
        self._say("progress")
        try:
            whose = self._principal.key
            with self._hub.pool.turn(gave_up=self._is_cancelled, on_wait=self._wait, whose=whose) as turn:
                if turn.take():
                    while self._work(turn):
                        pass
        except TooManyError:
            self._end({"op": "error", "id": identifier, "message": "too many queries wait: come again later"})
        except KubesharkError as error:
            figures.add(queries_failed=1)
            place = {"line": error.line, "column": error.column} if isinstance(error, UsageError) else {}
            self._end({"op": "error", "id": identifier, "message": str(error), **place})
        except Exception as error:  # noqa: BLE001 (the client must hear of it; the log says more)
            figures.add(queries_failed=1)
            complain(f"a query failed: {type(error).__name__}: {error}")
            self._end({"op": "error", "id": identifier, "message": "the query failed: the hub's log says why"})

    def _work(self, turn: Turn) -> bool:
        """Send what was asked for and not sent yet; True if it has to go on with what its user sees by now."""
        sight = self._hub.sight(self._principal)
        view = self._hub.view(self._principal)
        columns = ListColumns(self._said.columns, view.variables)
        live = _live(view, self._said, columns) if self._said.live else None
        self._follow = live.follow if live else None
        try:
            return self._read(turn, view, columns, live, lambda: self._hub.sight(self._principal) != sight)
        finally:
            if live:
                live.follow.close()

    def _read(
        self, turn: Turn, view: Pipeline, columns: ListColumns, live: Live | None, has_changed: Callable[[], bool]
    ) -> bool:
        said, began = self._said, time.monotonic()
        query = view.query(
            said.kfl,
            since_ns=read_time(said.since),
            until_ns=read_time(said.until),
            limit=said.limit if self._is_live else said.limit - self._rows,
            order="asc" if said.order == "oldest" else "desc",
            after=self._cursor or said.cursor,
            on_progress=self._on_progress,
        )
        self._query = query
        if self._is_cancelled():
            return False
        size = FIRST_ROWS
        runs = query.runs(columns.fields)
        try:
            for run in runs:
                at = 0
                while at < len(run) and not self._is_cancelled():
                    if has_changed():
                        return True
                    part = run.part(at, at + size)
                    at, size = at + size, ROWS
                    if live:
                        live.note(part)
                    self._send(columns, part, cursor_behind(part))
                    if not self._may_go_on(turn):
                        break
        finally:
            runs.close()
            self._hub.figures.add(query_seconds=time.monotonic() - began, query_bytes_read=self._progress.done)
        is_cut = not query.stopped and query.cursor is not None
        if live and not is_cut and not query.stopped and not self._is_cancelled():
            return self._go_on(live, turn, columns, query, has_changed)
        self._end(
            {
                **self._figures(),
                "op": "done",
                "cursor": query.cursor,
                "stopped": query.stopped or ("limit" if is_cut else ""),
                "problems": list(map(str, query.problems)),
                "notices": query.notices,
            }
        )
        return False

    def _go_on(
        self,
        live: Live,
        turn: Turn,
        columns: ListColumns,
        query: StoreQuery[Entry],
        has_changed: Callable[[], bool],
    ) -> bool:
        """Send what comes, until the client cancels; a turn is held only while there is work."""
        told = ""
        problems = list(map(str, query.problems))
        self._is_live = True
        while not self._is_cancelled() and turn.take():
            if has_changed():
                return True
            for run in live.look():
                for at in range(0, len(run), ROWS):
                    if has_changed():
                        return True
                    part = run.part(at, at + ROWS)
                    self._send(columns, part, live.cursor_behind(part))
                    if not self._may_go_on(turn):
                        return False
            about = {
                "problems": [*problems, *map(str, live.follow.problems)],
                "dropped": asdict(live.follow.dropped),
            }
            if (said := json.dumps(about)) != told:
                told = said
                self._tell({**self._figures(), "op": "live", "cursor": self._cursor, "notices": query.notices, **about})
            turn.give()
            live.follow.pause()
        return False

    def _tell(self, message: dict[str, Any]) -> None:
        with self._changed:
            if not self._is_over:
                self._put(message)

    def _may_go_on(self, turn: Turn) -> bool:
        """Wait until the client has acknowledged enough, without a turn; False if it does not want more."""
        if self._has_room():
            return True
        turn.give()
        with self._changed:
            self._changed.wait_for(self._has_room)
        return turn.take()

    def _is_cancelled(self) -> bool:
        return self._is_over

    def _has_room(self) -> bool:
        return self._is_over or self._sent - self._acknowledged < UNACKNOWLEDGED

    def _send(self, columns: ListColumns, part: Run, cursor: str) -> None:
        batch = self._encoder.encode(columns.of(part), cursor)
        with self._changed:
            if self._is_over:
                return
            self._sent, self._rows, self._cursor = self._encoder.batch, self._rows + len(part), cursor
            self._put(batch)
        self._hub.figures.add(query_rows=len(part))

    def _on_progress(self, progress: QueryProgress) -> None:
        self._progress = progress
        if time.monotonic() - self._told >= PROGRESS_S:
            self._say("progress")

    def _wait(self, ahead: int) -> None:
        if not self._is_live:  # a live query waits for a turn at every look: nothing is missing meanwhile
            self._say("queued", ahead=ahead)

    def _say(self, op: str, **more: int) -> None:
        with self._changed:
            self._told = time.monotonic()
            if self._is_over:
                return
            about = more or {
                "bytes_read": self._progress.done,
                "bytes_total": self._progress.total,
                "rows": self._rows,
            }
            self._put({"op": op, "id": self._said.id, **about})

    def _figures(self) -> dict[str, Any]:
        return {
            "id": self._said.id,
            "rows": self._rows,
            "seconds": round(time.monotonic() - self._began, 3),
            "bytes_read": self._progress.done,
        }


def _live(view: Pipeline, said: Query, columns: ListColumns) -> Live:
    if said.order != "oldest" or said.until is not None:
        raise UsageError("a live query is in the order oldest, without until")
    return Live.begin(view, said.kfl, columns.fields)
