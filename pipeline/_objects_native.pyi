"""Python objects made of bytes, many a call (native/objects.c)."""

from typing_extensions import Buffer

ABI: int

def texts(data: Buffer, spans: Buffer, /) -> list[str]: ...
