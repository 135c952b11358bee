"""What a plugin said of a stream: items while nobody asks for messages, each message once."""

from __future__ import annotations

import pytest

from kubeshark.extension_api._batch import Batch, decode_columns
from kubeshark.extension_api._frame import RESULT_HEADER, RESULT_MAGIC, FrameItem
from kubeshark.extension_api._models import CLIENT, Message, MessageKind
from kubeshark.hosts._answered import Answer, Answered, AnsweredItem, Shared
from kubeshark.hosts._feed import Found, Lane, Taken


def empty_answer(*payloads: bytes) -> Answer:
    """An answer that took every byte and found nothing."""
    consumed = b"".join(len(payload).to_bytes(4, "little") for payload in payloads)
    consumed += bytes(-len(consumed) % 8)
    size = RESULT_HEADER.size + len(consumed)
    head = RESULT_HEADER.pack(RESULT_MAGIC, 1, 4, len(payloads), 0, 0, 0, size, 0)
    return Answer(decode_columns(memoryview(head + consumed), Batch.of([FrameItem(each) for each in payloads]), ()))


def test_each_item_has_its_part_of_the_answer() -> None:
    answer = empty_answer(b"abc", b"", b"d")
    results = [AnsweredItem(answer, item) for item in range(3)]
    assert [(result.consumed, result.messages) for result in results] == [(3, []), (0, []), (1, [])]


@pytest.mark.parametrize("lost", [False, True])
def test_items_are_there_while_nothing_was_lost(lost: bool) -> None:
    made = []

    def message(found: Found) -> Message:
        made.append(found)
        return Message(MessageKind.EVENT, found.direction, found.start, found.end, error=found.error)

    lane = Lane(0)
    taken = Taken(CLIENT, 0, 7, AnsweredItem(empty_answer(b"abc"), 0))
    lane.parts = [taken, *([Found(CLIENT, 0, 10, 12, None, "gap")] if lost else [])]
    answered = Answered([lane], [], message)
    assert answered.items() == (None if lost else [(taken, taken.result)])
    assert not made
    for _ in range(2):
        assert [found.error for found in answered.messages()] == ["gap"] * lost
    assert len(made) == lost


def test_one_answer_of_many_items_is_theirs_alone() -> None:
    answers = Shared("said", 5)
    assert list(answers) == ["said"] * 5
    assert (len(answers[1:3]), answers[-1], len(answers[4:9])) == (2, "said", 1)
    with pytest.raises(IndexError):
        answers[5]
