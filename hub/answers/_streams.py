"""Answers that are made while they are sent."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from anyio import CancelScope
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Send

__all__ = ["ClosingStream"]


class ClosingStream(StreamingResponse):
    """A stream that ends its generator when the client goes away: what the generator holds is given back at once."""

    def __init__(
        self, content: Generator[Any, None, None], media_type: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._content = content

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._content.close)
