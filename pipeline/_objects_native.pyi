"""Python objects made of bytes, many a call (native/objects.c)."""

from typing_extensions import Buffer

ABI: int

def fields(block: Buffer, /) -> tuple[dict[str, str], dict[str, str]] | None: ...
def texts(data: Buffer, spans: Buffer, /) -> list[str]: ...
