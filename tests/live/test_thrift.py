"""The Thrift library itself, both ends of it: each transport and protocol it has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ._relay import Relay
from ._servers import free_port

pytest.importorskip("thrift", reason="thrift is not installed: pip install thrift")

from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
from thrift.protocol.THeaderProtocol import THeaderProtocolFactory
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import TBufferedTransportFactory, TFramedTransportFactory, TTransportException

BINARY = TBinaryProtocolFactory()
OLD = TBinaryProtocolFactory(strictWrite=False, strictRead=False)
COMPACT = TCompactProtocolFactory()
FRAMED, UNFRAMED = TFramedTransportFactory(), TBufferedTransportFactory()
FORMS: dict[str, tuple[Any, Any, tuple[str, str]]] = {
    "binary framed": (FRAMED, BINARY, ("binary", "framed")),
    "binary": (UNFRAMED, BINARY, ("binary", "unframed")),
    "old framed": (FRAMED, OLD, ("binary", "framed")),
    "old": (UNFRAMED, OLD, ("binary", "unframed")),
    "compact framed": (FRAMED, COMPACT, ("compact", "framed")),
    "compact": (UNFRAMED, COMPACT, ("compact", "unframed")),
    "header": (UNFRAMED, THeaderProtocolFactory(), ("binary", "header")),
}


def write_struct(protocol: Any, *fields: tuple[int, int, Callable[[], None]]) -> None:
    protocol.writeStructBegin("s")
    for number, kind, write in fields:
        protocol.writeFieldBegin("f", kind, number)
        write()
        protocol.writeFieldEnd()
    protocol.writeFieldStop()
    protocol.writeStructEnd()


def serve(listener: TServerSocket, transports: Any, protocols: Any) -> None:
    """Answer the calls of one client, as a generated processor would."""
    client = listener.accept()
    transport = transports.getTransport(client)
    protocol = protocols.getProtocol(transport)
    try:
        while True:
            name, kind, sequence = protocol.readMessageBegin()
            protocol.skip(TType.STRUCT)
            protocol.readMessageEnd()
            if kind == TMessageType.ONEWAY:
                continue
            if name == "missing":
                protocol.writeMessageBegin(name, TMessageType.EXCEPTION, sequence)
                TApplicationException(TApplicationException.UNKNOWN_METHOD, "no method missing").write(protocol)
            else:
                protocol.writeMessageBegin(name, TMessageType.REPLY, sequence)
                write_struct(protocol, (0, TType.STRING, lambda: protocol.writeString("found " + "x" * 3000)))
            protocol.writeMessageEnd()
            protocol.trans.flush()
    except (TTransportException, EOFError):
        client.close()


def call(protocol: Any, name: str, kind: int, sequence: int) -> None:
    def write_list() -> None:
        protocol.writeListBegin(TType.I32, 3)
        for number in (1, -2, 1 << 30):
            protocol.writeI32(number)
        protocol.writeListEnd()

    def write_map() -> None:
        protocol.writeMapBegin(TType.STRING, TType.DOUBLE, 1)
        protocol.writeString("pi")
        protocol.writeDouble(3.25)
        protocol.writeMapEnd()

    def write_inner() -> None:
        write_struct(
            protocol,
            (1, TType.BOOL, lambda: protocol.writeBool(True)),
            (20, TType.I64, lambda: protocol.writeI64(-(1 << 40))),
            (21, TType.BYTE, lambda: protocol.writeByte(-1)),
            (3, TType.I16, lambda: protocol.writeI16(-300)),
        )

    protocol.writeMessageBegin(name, kind, sequence)
    write_struct(
        protocol,
        (1, TType.STRING, lambda: protocol.writeString("pear")),
        (2, TType.LIST, write_list),
        (3, TType.MAP, write_map),
        (4, TType.STRUCT, write_inner),
    )
    protocol.writeMessageEnd()
    protocol.trans.flush()
    if kind == TMessageType.CALL:
        protocol.readMessageBegin()
        protocol.skip(TType.STRUCT)
        protocol.readMessageEnd()


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    transports, protocols, _ = FORMS[request.param]
    number = free_port()
    listener = TServerSocket("127.0.0.1", number)
    listener.listen()
    thread = threading.Thread(target=serve, args=(listener, transports, protocols), daemon=True)
    thread.start()
    yield number
    thread.join(timeout=5)
    listener.close()


@pytest.mark.parametrize(("port", "form"), [(form, form) for form in FORMS], ids=FORMS, indirect=["port"])
def test_calls_and_replies(port: int, form: str) -> None:
    transports, protocols, expected = FORMS[form]
    with Relay(port, shown_port=7911) as relay:
        socket = TSocket("127.0.0.1", relay.port)
        transport = transports.getTransport(socket)
        protocol = protocols.getProtocol(transport)
        socket.open()
        call(protocol, "Stock:find", TMessageType.CALL, 1)
        call(protocol, "log", TMessageType.ONEWAY, 2)
        call(protocol, "missing", TMessageType.CALL, 3)
        socket.close()
    found, log, missing = relay.entries("thrift")
    assert [each.error for each in (found, log, missing)] == [None] * 3
    assert {(each.get("thrift_protocol"), each.get("thrift_transport")) for each in (found, log, missing)} == {expected}
    assert (found.get("thrift_service"), found.get("thrift_method")) == ("Stock", "find")
    assert found.get("thrift_success")
    entry = found.to_dict()
    assert entry["request"]["arguments"] == {
        "1": "pear",
        "2": [1, -2, 1 << 30],
        "3": {"pi": 3.25},
        "4": {"1": True, "20": -(1 << 40), "21": -1, "3": -300},
    }
    assert entry["response"]["result"] == {"0": "found " + "x" * 3000}
    assert (log.get("thrift_type"), log.exchange.response) == ("oneway", None)
    assert missing.get("thrift_error_message") == "no method missing"
    assert missing.to_dict()["response"]["exception"]["name"] == "UNKNOWN_METHOD"
