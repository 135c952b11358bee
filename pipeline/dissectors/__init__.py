"""The built-in dissectors: plugins like anybody's, one module each, registered through the same manager."""

from kubeshark.pipeline.dissectors._columns import Column, Columns
from kubeshark.pipeline.dissectors._message_rows import MessageRow, ReadRows
from kubeshark.pipeline.dissectors.network._conn import COLUMNS as CONN_COLUMNS
from kubeshark.pipeline.dissectors.network._conn import CONN, FLOW, conn_message, flow_message

__all__ = [
    "BUILTINS",
    "CONN",
    "CONN_COLUMNS",
    "FLOW",
    "Column",
    "Columns",
    "MessageRow",
    "ReadRows",
    "conn_message",
    "flow_message",
]

BUILTINS = (
    "kubeshark.pipeline.dissectors.web.http1",
    "kubeshark.pipeline.dissectors.web.http2",
    "kubeshark.pipeline.dissectors.web.ws",
    "kubeshark.pipeline.dissectors.network.dns",
    "kubeshark.pipeline.dissectors.network.icmp",
    "kubeshark.pipeline.dissectors.databases.redis",
    "kubeshark.pipeline.dissectors.access.ldap",
    "kubeshark.pipeline.dissectors.security.tls",
    "kubeshark.pipeline.dissectors.security.quic",
    "kubeshark.pipeline.dissectors.web.http3",
    "kubeshark.pipeline.dissectors.databases.postgresql",
    "kubeshark.pipeline.dissectors.databases.mysql",
    "kubeshark.pipeline.dissectors.databases.mongodb",
    "kubeshark.pipeline.dissectors.databases.cassandra",
    "kubeshark.pipeline.dissectors.databases.tds",
    "kubeshark.pipeline.dissectors.access.radius",
    "kubeshark.pipeline.dissectors.sessions.smtp",
    "kubeshark.pipeline.dissectors.sessions.ftp",
    "kubeshark.pipeline.dissectors.sessions.sip",
    "kubeshark.pipeline.dissectors.access.diameter",
    "kubeshark.pipeline.dissectors.sessions.ssh",
    "kubeshark.pipeline.dissectors.network.stun",
    "kubeshark.pipeline.dissectors.messaging.kafka",
    "kubeshark.pipeline.dissectors.databases.memcached",
    "kubeshark.pipeline.dissectors.messaging.nats",
    "kubeshark.pipeline.dissectors.messaging.mqtt",
    "kubeshark.pipeline.dissectors.rpc.thrift",
    "kubeshark.pipeline.dissectors.rpc.dubbo",
    "kubeshark.pipeline.dissectors.messaging.amqp",
    "kubeshark.pipeline.dissectors.messaging.zmtp",
    "kubeshark.pipeline.dissectors.relays.socks",
    "kubeshark.pipeline.dissectors.relays.proxy",
    "kubeshark.pipeline.dissectors.network.raw",
)
