"""What the rows of a `Found` are, by their codes: scanned exchanges, connections, entries that were made at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

__all__ = ["CONNECTION", "MADE", "Kinds"]

CONNECTION = -1  # a stream's own entry; from 0 on: the number of an exchange
MADE = -2  # and below: -2 - place among the entries that were made at once


class Kinds(Struct):
    """Some rows by kind: places in `rows`, ascending."""

    rows: NDArray[Any]
    made: NDArray[Any]
    entries: list[int]  # of `made`: places among all entries that were
    lazy: NDArray[Any]  # the others
    exchanges: NDArray[Any]
    connections: NDArray[Any]
    place: NDArray[Any]  # i8, of each row's value: behind those made all exchanges', then all connections'
    of_stream: NDArray[Any]  # i8, the same where a value is the stream's: those made, then all streams'

    @classmethod
    def of(cls, rows: NDArray[Any], code: NDArray[Any], stream: NDArray[Any], exchange_count: int) -> Kinds:
        """Tell rows apart; `code` and `stream` are those of all rows there are."""
        codes, streams = code[rows], stream[rows]
        is_made = codes <= MADE
        made = np.flatnonzero(is_made)
        place = len(made) + np.where(codes >= 0, codes, exchange_count + streams)
        of_stream = len(made) + streams
        place[made] = of_stream[made] = np.arange(len(made))
        return cls(
            rows,
            made,
            (MADE - codes[made]).tolist(),
            np.flatnonzero(~is_made),
            np.flatnonzero(codes >= 0),
            np.flatnonzero(codes == CONNECTION),
            place,
            of_stream,
        )
