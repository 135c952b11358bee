"""The classes and methods of AMQP 0-9-1 with RabbitMQ's extensions (amqp0-9-1.extended.xml), as one table.

A line is class, method, name, then arguments as type:name. Types: o octet, s short, l long, L long long, S short
string, X long string, T table, b bit (neighbours share octets); the name `-` is a reserved argument.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["ANSWERS", "METHODS", "Method"]

_TABLE = """
10 10 connection.start o:versionMajor o:versionMinor T:serverProperties X:mechanisms X:locales
10 11 connection.start-ok T:clientProperties S:mechanism X:response S:locale
10 20 connection.secure X:challenge
10 21 connection.secure-ok X:response
10 30 connection.tune s:channelMax l:frameMax s:heartbeat
10 31 connection.tune-ok s:channelMax l:frameMax s:heartbeat
10 40 connection.open S:virtualHost S:- b:-
10 41 connection.open-ok S:-
10 50 connection.close s:replyCode S:replyText s:failedClassId s:failedMethodId
10 51 connection.close-ok
10 60 connection.blocked S:reason
10 61 connection.unblocked
10 70 connection.update-secret X:newSecret S:reason
10 71 connection.update-secret-ok
20 10 channel.open S:-
20 11 channel.open-ok X:-
20 20 channel.flow b:active
20 21 channel.flow-ok b:active
20 40 channel.close s:replyCode S:replyText s:failedClassId s:failedMethodId
20 41 channel.close-ok
30 10 access.request S:realm b:exclusive b:passive b:active b:write b:read
30 11 access.request-ok s:ticket
40 10 exchange.declare s:- S:exchange S:type b:passive b:durable b:autoDelete b:internal b:noWait T:arguments
40 11 exchange.declare-ok
40 20 exchange.delete s:- S:exchange b:ifUnused b:noWait
40 21 exchange.delete-ok
40 30 exchange.bind s:- S:destination S:source S:routingKey b:noWait T:arguments
40 31 exchange.bind-ok
40 40 exchange.unbind s:- S:destination S:source S:routingKey b:noWait T:arguments
40 51 exchange.unbind-ok
50 10 queue.declare s:- S:queue b:passive b:durable b:exclusive b:autoDelete b:noWait T:arguments
50 11 queue.declare-ok S:queue l:messageCount l:consumerCount
50 20 queue.bind s:- S:queue S:exchange S:routingKey b:noWait T:arguments
50 21 queue.bind-ok
50 30 queue.purge s:- S:queue b:noWait
50 31 queue.purge-ok l:messageCount
50 40 queue.delete s:- S:queue b:ifUnused b:ifEmpty b:noWait
50 41 queue.delete-ok l:messageCount
50 50 queue.unbind s:- S:queue S:exchange S:routingKey T:arguments
50 51 queue.unbind-ok
60 10 basic.qos l:prefetchSize s:prefetchCount b:global
60 11 basic.qos-ok
60 20 basic.consume s:- S:queue S:consumerTag b:noLocal b:noAck b:exclusive b:noWait T:arguments
60 21 basic.consume-ok S:consumerTag
60 30 basic.cancel S:consumerTag b:noWait
60 31 basic.cancel-ok S:consumerTag
60 40 basic.publish s:- S:exchange S:routingKey b:mandatory b:immediate
60 50 basic.return s:replyCode S:replyText S:exchange S:routingKey
60 60 basic.deliver S:consumerTag L:deliveryTag b:redelivered S:exchange S:routingKey
60 70 basic.get s:- S:queue b:noAck
60 71 basic.get-ok L:deliveryTag b:redelivered S:exchange S:routingKey l:messageCount
60 72 basic.get-empty S:-
60 80 basic.ack L:deliveryTag b:multiple
60 90 basic.reject L:deliveryTag b:requeue
60 100 basic.recover-async b:requeue
60 110 basic.recover b:requeue
60 111 basic.recover-ok
60 120 basic.nack L:deliveryTag b:multiple b:requeue
85 10 confirm.select b:noWait
85 11 confirm.select-ok
90 10 tx.select
90 11 tx.select-ok
90 20 tx.commit
90 21 tx.commit-ok
90 30 tx.rollback
90 31 tx.rollback-ok
"""


class Method(Struct, frozen=True):
    class_id: int
    method_id: int
    name: str  # with a dot: basic.publish
    arguments: tuple[tuple[str, str], ...]  # (type, name)


def _read(line: str) -> Method:
    class_id, method_id, name, *arguments = line.split()
    pairs = (argument.split(":") for argument in arguments)
    return Method(int(class_id), int(method_id), name, tuple((kind, argument) for kind, argument in pairs))


METHODS = {
    (method.class_id, method.method_id): method for line in _TABLE.strip().splitlines() for method in (_read(line),)
}
_NAMES = {method.name for method in METHODS.values()}
ANSWERS = {name: name.removesuffix("-ok") for name in _NAMES if name.endswith("-ok")} | {"basic.get-empty": "basic.get"}
"""An answer → what it answers."""
