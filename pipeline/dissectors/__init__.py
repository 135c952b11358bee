"""The built-in dissectors: plugins like anybody's, one module each, registered through the same manager."""

from kubeshark.pipeline.dissectors._conn import CONN, FLOW, conn_message, flow_message

__all__ = ["BUILTINS", "CONN", "FLOW", "conn_message", "flow_message"]

BUILTINS = (
    "kubeshark.pipeline.dissectors.http1",
    "kubeshark.pipeline.dissectors.http2",
    "kubeshark.pipeline.dissectors.ws",
    "kubeshark.pipeline.dissectors.dns",
    "kubeshark.pipeline.dissectors.icmp",
    "kubeshark.pipeline.dissectors.redis",
    "kubeshark.pipeline.dissectors.ldap",
    "kubeshark.pipeline.dissectors.tls",
    "kubeshark.pipeline.dissectors.quic",
    "kubeshark.pipeline.dissectors.http3",
    "kubeshark.pipeline.dissectors.postgresql",
    "kubeshark.pipeline.dissectors.mysql",
    "kubeshark.pipeline.dissectors.mongodb",
    "kubeshark.pipeline.dissectors.cassandra",
    "kubeshark.pipeline.dissectors.tds",
    "kubeshark.pipeline.dissectors.radius",
    "kubeshark.pipeline.dissectors.smtp",
    "kubeshark.pipeline.dissectors.ftp",
    "kubeshark.pipeline.dissectors.sip",
    "kubeshark.pipeline.dissectors.diameter",
    "kubeshark.pipeline.dissectors.ssh",
    "kubeshark.pipeline.dissectors.stun",
    "kubeshark.pipeline.dissectors.kafka",
    "kubeshark.pipeline.dissectors.memcached",
    "kubeshark.pipeline.dissectors.nats",
    "kubeshark.pipeline.dissectors.mqtt",
    "kubeshark.pipeline.dissectors.thrift",
    "kubeshark.pipeline.dissectors.dubbo",
    "kubeshark.pipeline.dissectors.amqp",
    "kubeshark.pipeline.dissectors.zmtp",
    "kubeshark.pipeline.dissectors.raw",
)
