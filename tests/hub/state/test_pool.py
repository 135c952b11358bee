"""Turns: how many at once, in which order, and who does not wait any longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from kubeshark.hub.state._pool import QueryPool, TooManyError


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_more_than_the_turns_run_and_all_get_one() -> None:
    pool, most, running, lock = QueryPool(turns=2), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal most, running
        with pool.turn() as turn:
            turn.take()
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.005)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, pool.running, pool.waiting) == (2, 0, 0)


def test_who_comes_first_is_served_first_and_hears_how_many_are_ahead() -> None:
    pool, served, ahead = QueryPool(turns=1), list[int](), list[int]()
    first = pool.turn()
    first.take()
    threads = []
    for number in range(4):
        on_wait = ahead.append if number == 3 else (lambda _: None)

        def work(number: int = number, on_wait: Callable[[int], None] = on_wait) -> None:
            with pool.turn(on_wait=on_wait) as turn:
                turn.take()
                served.append(number)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        until(lambda number=number: pool.waiting == number + 1)  # type: ignore[misc]
    until(lambda: bool(ahead))
    first.give()
    for thread in threads:
        thread.join(60)
    assert served == [0, 1, 2, 3]
    assert ahead[0] == 4
    assert ahead == sorted(ahead, reverse=True)


def test_who_gives_up_gets_no_turn_and_holds_nobody_up() -> None:
    pool, gave_up, answers = QueryPool(turns=1), threading.Event(), list[bool]()
    first = pool.turn()
    first.take()
    thread = threading.Thread(target=lambda: answers.append(pool.take(gave_up=gave_up.is_set)))
    thread.start()
    until(lambda: pool.waiting == 1)
    gave_up.set()
    thread.join(60)
    assert (answers, pool.waiting) == ([False], 0)
    first.give()
    first.give()  # twice is fine
    assert pool.take()
    assert pool.running == 1


def test_a_queue_that_is_full_says_so() -> None:
    pool = QueryPool(turns=1, max_waiting=0)
    pool.take()
    with pytest.raises(TooManyError):
        pool.take()


def test_one_user_takes_a_share_and_leaves_the_rest_to_others() -> None:
    pool, threads = QueryPool(turns=1, share=2), list[threading.Thread]()
    first = pool.turn(whose="a")
    first.take()
    for _ in range(2):
        threads.append(threading.Thread(target=pool.take, kwargs={"whose": "a"}))
        threads[-1].start()
    until(lambda: pool.waiting == 2)
    with pytest.raises(TooManyError):
        pool.take(whose="a")
    threads.append(threading.Thread(target=pool.take, kwargs={"whose": "b"}))
    threads[-1].start()
    until(lambda: pool.waiting == 3)
    for _ in range(3):
        pool.give()
    for thread in threads:
        thread.join(60)
    assert pool.running == 1


def test_who_has_begun_goes_on_however_many_wait() -> None:
    pool, taken = QueryPool(turns=1, max_waiting=0), list[bool]()
    turn = pool.turn()
    turn.take()
    turn.give()
    pool.take()
    thread = threading.Thread(target=lambda: taken.append(turn.take()))
    thread.start()
    until(lambda: pool.waiting == 1)
    pool.give()
    thread.join(60)
    assert taken == [True]


def test_who_is_admitted_is_counted_by_user_and_in_all() -> None:
    pool = QueryPool(max_waiting=3, share=2)
    with pool.admitted("a"), pool.admitted("a"):
        with pytest.raises(TooManyError), pool.admitted("a"):
            pass
        with pool.admitted("b"), pytest.raises(TooManyError), pool.admitted("c"):
            pass
        with pool.admitted("c"):
            pass
    assert not pool._admitted
