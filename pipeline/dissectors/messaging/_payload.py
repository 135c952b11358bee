"""What a message of a queue carried, as KFL variables and JSON show it."""

from __future__ import annotations

from typing import Any, Literal

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, text_or_base64

__all__ = ["payload_of"]


def payload_of(
    wire: Wire, start: int, end: int, half: Literal["request", "response"], key: str = "payload"
) -> tuple[dict[str, Value], dict[str, Any]]:
    """Return the variables (`request_body` …) and the document's part ({"payload": …}) of data[start:end].

    At most BODY_LIMIT bytes; bytes that are no text are base64 in the document, with `encoding`, and text with
    replacements in the variable.
    """
    data = wire.captured(start, min(end, start + BODY_LIMIT))
    shown, encoding = text_or_base64(data, is_cut=end - start > len(data))
    document: dict[str, Any] = {key: shown}
    if encoding:
        document["encoding"] = encoding
    fields: dict[str, Value] = {f"{half}_body": shown if not encoding else data.decode("utf-8", "replace")}
    if end - start > BODY_LIMIT:
        document[f"{key}Truncated"] = fields[f"{half}_body_truncated"] = True
    return fields, document
