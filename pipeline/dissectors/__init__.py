"""The built-in dissectors: plugins like anybody's, one module each, registered through the same manager."""

from kubeshark.pipeline.dissectors._conn import CONN, conn_message
from kubeshark.pipeline.dissectors.raw import raw_binding

__all__ = ["BUILTINS", "CONN", "conn_message", "raw_binding"]

BUILTINS = (
    "kubeshark.pipeline.dissectors.http1",
    "kubeshark.pipeline.dissectors.dns",
    "kubeshark.pipeline.dissectors.icmp",
    "kubeshark.pipeline.dissectors.raw",
)
