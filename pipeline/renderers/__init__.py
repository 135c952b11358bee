"""The built-in renderers: plugins like anybody's, one module each, registered through the same manager."""

from kubeshark.pipeline.renderers._plain_text import to_hex, to_text

__all__ = ["BUILTINS", "to_hex", "to_text"]

BUILTINS = (
    "kubeshark.pipeline.renderers.generic",  # asked last: the manager asks the latest first
    "kubeshark.pipeline.renderers.transport",
    "kubeshark.pipeline.renderers.icmp",
    "kubeshark.pipeline.renderers.dns",
    "kubeshark.pipeline.renderers.http",
    "kubeshark.pipeline.renderers.ws",
    "kubeshark.pipeline.renderers.tls",
    "kubeshark.pipeline.renderers.ldap",
    "kubeshark.pipeline.renderers.radius",
    "kubeshark.pipeline.renderers.smtp",
    "kubeshark.pipeline.renderers.ftp",
    "kubeshark.pipeline.renderers.sip",
    "kubeshark.pipeline.renderers.diameter",
    "kubeshark.pipeline.renderers.ssh",
    "kubeshark.pipeline.renderers.stun",
    "kubeshark.pipeline.renderers.redis",
    "kubeshark.pipeline.renderers.memcached",
    "kubeshark.pipeline.renderers.kafka",
    "kubeshark.pipeline.renderers.nats",
    "kubeshark.pipeline.renderers.mqtt",
    "kubeshark.pipeline.renderers.thrift",
    "kubeshark.pipeline.renderers.dubbo",
    "kubeshark.pipeline.renderers.amqp",
    "kubeshark.pipeline.renderers.cassandra",
    "kubeshark.pipeline.renderers.tds",
    "kubeshark.pipeline.renderers.mongodb",
    "kubeshark.pipeline.renderers.mysql",
    "kubeshark.pipeline.renderers.postgresql",
    "kubeshark.pipeline.renderers.zmtp",
    "kubeshark.pipeline.renderers.relays",
)
