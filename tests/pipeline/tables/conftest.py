"""What tests of tables share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissection._exchanges import reader_of
from kubeshark.pipeline.dissectors.web import http1


@pytest.fixture
def _fresh_readers() -> Iterator[None]:
    """Which dissectors read rows is asked anew, before and after."""
    reader_of.cache_clear()
    yield
    reader_of.cache_clear()


@pytest.fixture
def dissected(monkeypatch: pytest.MonkeyPatch, _fresh_readers: None) -> list[int]:
    """How many streams the HTTP dissector was asked about, call by call: to find messages, or to make them of rows."""
    calls: list[int] = []

    def counting(protocol: Any, streams: Sequence[Any]) -> Sequence[Sequence[Message]]:
        calls.append(len(streams))
        return real(protocol, streams)  # type: ignore[return-value]

    def counting_rows(*given: Any) -> list[Message] | None:
        calls.append(1)
        return real_rows(*given)

    real, real_rows = http1.dissect, http1.read_rows
    counting.kubeshark_impl = http1.dissect.kubeshark_impl  # type: ignore[attr-defined]
    monkeypatch.setattr(http1, "dissect", counting)
    monkeypatch.setattr(http1, "read_rows", counting_rows)
    return calls
