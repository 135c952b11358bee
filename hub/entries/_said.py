"""What a client says on the WebSocket (docs/hub-api.md)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kubeshark.hub.entries._columns import LIST_COLUMNS

__all__ = ["Ack", "Cancel", "Query", "decode"]

MAX_LIMIT = 2_000_000

Text = Annotated[str, msgspec.Meta(max_length=16_384)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Query(msgspec.Struct, tag_field="op", tag="query"):
    id: Number
    kfl: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 10_000
    order: Literal["oldest", "newest"] = "oldest"
    cursor: Text | None = None
    since: str | int | None = None
    until: str | int | None = None
    live: bool = False
    columns: list[str] = msgspec.field(default_factory=lambda: list(LIST_COLUMNS))


class Ack(msgspec.Struct, tag_field="op", tag="ack"):
    id: Number
    batch: Number


class Cancel(msgspec.Struct, tag_field="op", tag="cancel"):
    id: Number


decode = msgspec.json.Decoder(Query | Ack | Cancel).decode
