"""Text from bytes that claim to be text."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from kubeshark.pipeline.tables._objects import native

__all__ = ["text", "texts"]


def text(data: bytes) -> str:
    """Decode UTF-8; what is not UTF-8 is read as Latin-1, which loses nothing and never fails."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def texts(data: bytes, spans: NDArray[Any]) -> list[str]:
    """Return the text of each of these (at, length), pairs of u4."""
    if native is not None:
        made: list[str] = native.texts(data, spans)
        return made
    starts = spans["at"].tolist()
    ends = (spans["at"] + spans["length"]).tolist()
    raw = [data[start:end] for start, end in zip(starts, ends, strict=True)]
    known = {each: text(each) for each in set(raw)}  # of equal ones, of which traffic has many, one
    return [known[each] for each in raw]
