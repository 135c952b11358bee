"""Stores of several segments, made of captures written packet by packet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from kubeshark.core_capture.store import Identity, SourceInfo, Store, create_identity, identity_path
from kubeshark.pipeline import Pipeline
from tests.pipeline._traffic import Capture, Connection, batch, dns

__all__ = ["long_talk", "make_store", "mixed"]


def make_store(path: Path, capture: Capture, cuts: Sequence[int] = ()) -> Path:
    """Write a store with a segment from each cut on; its identity is the user's."""
    if not identity_path().exists():
        create_identity()
    with Pipeline.open(path) as opened:
        identity: Identity = opened.store.identities[0]
    bounds = [0, *cuts, len(capture.records)]
    for number, (low, high) in enumerate(pairwise(bounds)):
        store = Store.open(path)
        with store.writer([identity.recipient], source=SourceInfo(f"part {number}"), node=f"n{number:02}") as writer:
            writer.add(batch(capture.records[low:high]))
            writer.finish()
    return path


def long_talk(rounds: int = 4, pause: float = 1.0) -> Capture:
    """One connection with an exchange a round, beside short ones and datagrams."""
    capture = Capture()
    long = Connection(capture, client_port=39_999).open()
    for number in range(rounds):
        long.ask(f"GET /long/{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        short = Connection(capture, client_port=40_000 + number).open()
        short.ask(f"GET /short/{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        long.answer()
        capture.add(dns(number, client_port=33_000))
        short.answer().end(0).end(1)
        capture.add(dns(number, answer=True, client_port=33_000))
        capture.wait(pause)
    long.end(0).end(1)
    return capture


def mixed(count: int = 6) -> Capture:
    """Exchanges that interleave, some at the very same time."""
    capture = Capture()
    for number in range(count):
        one = Connection(capture, client_port=40_000 + number).open()
        two = Connection(capture, client_port=41_000 + number, port=81).open()
        capture.now_ns -= 500_000  # the next packets share their times
        one.ask().answer()
        two.ask()
        capture.now_ns -= 1_000_000
        capture.add(dns(number, client_port=33_000 + number))
        two.answer()
        if number % 2:
            one.end(0).end(1)
    return capture
