"""Which answer belongs to which question of a PostgreSQL connection, and what earlier messages say about later ones.

Cycles pair in their order (`_postgresql_units`), and so do the units in them. What names stand for is remembered:
statements, portals, and what the server said of both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import Arrival
from kubeshark.pipeline.dissectors.databases._postgresql_document import Statement, startup_parameters
from kubeshark.pipeline.dissectors.databases._postgresql_framing import CANCEL, UNKNOWN
from kubeshark.pipeline.dissectors.databases._postgresql_units import Unit

__all__ = ["UNASKED", "Connection", "Question", "expects_answer", "is_farewell", "pair"]

MAX_NAMES = 10_000
"""Statements and portals kept of one connection."""


class Question(Struct):
    """A client's unit with what it means in its connection, and its answer."""

    unit: Unit
    key: str
    database: str
    user: str
    statement: Statement | None = None
    bind: Unit | None = None  # the unit with the Bind of its portal: formats of the result
    answer: Unit | None = None
    columns_at: int = -1
    is_skipped: bool = False


class Portal(Struct):
    """What the name of a portal stands for."""

    statement: Statement | None
    bind: Unit


class Connection:
    """What earlier messages say about later ones: who is logged in, and what names of statements stand for."""

    def __init__(self) -> None:
        self._database = self._user = ""
        self._statements: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}
        self._cycle, self._place = -1, 0

    def question(self, wire: Wire, unit: Unit) -> Question:
        if unit.cycle != self._cycle:
            self._cycle, self._place = unit.cycle, 0
        if unit.code >> 16 == 3 and unit.code < CANCEL:
            length = int.from_bytes(wire.data[unit.start : unit.start + 4], "big")
            options = startup_parameters(wire.captured(unit.start + 8, min(unit.end, unit.start + length)))
            self._user = options.get("user", "")
            self._database = options.get("database", self._user)
        question = Question(unit, f"{self._cycle}.{self._place}", self._database, self._user)
        self._place += 1
        self._name(question)
        return question

    def _name(self, question: Question) -> None:
        """Look up what the unit's names stand for, or keep what they stand for from now on."""
        unit = question.unit
        if unit.is_parsed:
            question.statement = Statement(unit.query, unit)
            if len(self._statements) < MAX_NAMES or unit.statement in self._statements:
                self._statements[unit.statement] = question.statement
        elif 0x42 in unit.types or unit.is_described:
            question.statement = self._statements.get(unit.statement)
        elif unit.types & {0x44, 0x45} and (portal := self._portals.get(unit.portal)):
            question.statement, question.bind = portal.statement, portal.bind
        if 0x42 in unit.types:
            question.bind = unit
            if len(self._portals) < MAX_NAMES or unit.portal in self._portals:
                self._portals[unit.portal] = Portal(question.statement, unit)


def pair(
    questions: Sequence[Question],
    answers: Sequence[Unit],
    arrival: Arrival,
    client: int,
    gaps: Sequence[tuple[int, int, int]] = (),
) -> list[Unit]:
    """Give each question its answer; return the answers nobody asked for. `gaps` are those of the server's side.

    The n-th cycle of the server answers the client's oldest cycle without answer; one that began before any such cycle
    answers something from before the capture. Behind a gap, where the client had never asked before it was answered,
    it answers the client's latest cycle: the answers to those before it were lost.
    """
    events: list[tuple[int, int, int]] = []  # turn, side, ordinal
    events += ((arrival.turn(client, item.unit.start), 0, at) for at, item in enumerate(questions))
    events += (
        (arrival.turn(1 - client, unit.start if unit.anchor < 0 else unit.anchor), 1, at)
        for at, unit in enumerate(answers)
    )
    waiting: deque[list[Question]] = deque()
    alone: list[Unit] = []
    asked = answered = -1
    open_cycle: list[Question] = []
    place = taken_in_turn = 0
    asks_in_turn = True
    for _, side, at in sorted(events):
        if side == 0:
            question = questions[at]
            if not expects_answer(question.unit):
                continue
            if question.unit.cycle != asked:
                asked = question.unit.cycle
                waiting.append([])
            cycle = waiting[-1] if waiting else open_cycle
            question.is_skipped = bool(cycle) and _has_failed(cycle[-1])
            cycle.append(question)
            continue
        unit = answers[at]
        if unit.anchor < 0 or unit.types <= UNASKED or UNKNOWN in unit.types:
            alone.append(unit)
            continue
        if unit.cycle != answered:
            answered, place = unit.cycle, 0
            if not gaps or unit.start <= gaps[0][0]:
                asks_in_turn = asks_in_turn and len(waiting) < 2
                taken_in_turn += bool(waiting)
            while asks_in_turn and taken_in_turn > 1 and len(waiting) > 1:
                waiting.popleft()
            open_cycle = waiting.popleft() if waiting else []
        if place and unit.types <= _REST and _ends_the_last(open_cycle, place - 1, alone, unit):
            continue
        if place < len(open_cycle):
            question = open_cycle[place]
            question.answer = unit
            _learn(question, unit)
            if unit.failure:
                _skip(open_cycle[place + 1 :])
        else:
            alone.append(unit)
        place += 1
    return alone


_REST = frozenset(b"ETnZSN")  # ErrorResponse, description of a portal: with them an answer may end, or another begin
_EXECUTED = frozenset(b"CIs")
_ANSWERS = {0x50: frozenset(b"1"), 0x42: frozenset(b"2"), 0x44: frozenset(b"Tn"), 0x43: frozenset(b"3")}
"""What the server says when a message of the extended protocol succeeded, by its type."""


def _ends_the_last(cycle: Sequence[Question], place: int, alone: Sequence[Unit], rest: Unit) -> bool:
    """Add these messages to the answer before them, unless that one is whole: then what was asked next has them."""
    question = cycle[place] if place < len(cycle) else None
    answer = question.answer if question else alone[-1] if alone and alone[-1].cycle == rest.cycle else None
    if answer is None:
        return False
    asked = question.unit if question else None
    if answer.types & _EXECUTED:  # the commit at Sync failed: a deferred constraint
        is_about = place + 1 >= len(cycle) and (not _is_fatal(rest) or bool(asked and asked.closes_cycle))
    elif asked is None or asked.closes_cycle or 0x45 in asked.types:
        is_about = True
    else:
        is_about = any(kind in asked.types and not answer.types & done for kind, done in _ANSWERS.items())
    if is_about:
        answer.end, answer.failure = rest.end, rest.failure or answer.failure
        answer.types |= rest.types
        answer.error = answer.error or rest.error
        if answer.columns_at < 0:
            answer.columns_at = rest.columns_at
        if question:
            _learn(question, answer)
        if rest.failure:
            _skip(cycle[place + 1 :])
    return is_about


def _has_failed(question: Question) -> bool:
    return question.is_skipped or bool(question.answer and question.answer.failure)


def _skip(questions: Sequence[Question]) -> None:
    """After an error the server passes over what is left of its cycle."""
    for question in questions:
        question.is_skipped = True


def _learn(question: Question, answer: Unit) -> None:
    statement = question.statement
    if statement is None:
        return
    if answer.parameters_at >= 0:
        statement.parameters_at = answer.parameters_at
    if answer.columns_at >= 0:
        statement.columns_at = answer.columns_at
    question.columns_at = statement.columns_at


def expects_answer(unit: Unit) -> bool:
    if unit.code == CANCEL or UNKNOWN in unit.types:
        return False
    return not unit.types <= _ONE_WAY


_ONE_WAY = frozenset(b"XHpdcf")  # Terminate; Flush; passwords and COPY data whose question was not captured

UNASKED = frozenset(b"ASN")
"""Types of what a server says at any time: notifications, parameters, notices."""

_FAREWELL = frozenset(b"ESN")
_REFUSED = ("28", "3D", "53300", "57P03")
"""Beginnings of SQLSTATE that answer a startup message, though it was not captured."""


def _is_fatal(unit: Unit) -> bool:
    failure = unit.failure
    return failure.get("V", failure.get("S", "")) in ("FATAL", "PANIC")


def is_farewell(unit: Unit) -> bool:
    """Say whether the server ends an idle connection: it shuts down, was told to, or waited for too long."""
    return unit.types <= _FAREWELL and _is_fatal(unit) and not unit.failure.get("C", "").startswith(_REFUSED)
