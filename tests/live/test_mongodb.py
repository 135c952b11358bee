"""A real MongoDB driver, pymongo, against canned answers: no server is packaged, but these bytes are real."""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from kubeshark.pipeline import Entry

from ._relay import Relay

bson = pytest.importorskip("bson", reason="pip install pymongo")
pymongo = pytest.importorskip("pymongo")

HELLO = {
    "helloOk": True,
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 16777216,
    "maxMessageSizeBytes": 48000000,
    "maxWriteBatchSize": 100000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "ok": 1.0,
}
ANSWERS: dict[str, Any] = {
    "find": {"cursor": {"firstBatch": [{"_id": 1, "name": "one"}], "id": 0, "ns": "shop.items"}, "ok": 1.0},
    "insert": {"n": 1, "ok": 1.0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "E11000 duplicate key"}]},
    "update": {"ok": 0.0, "errmsg": "not authorized", "code": 13, "codeName": "Unauthorized"},
}


class Canned:
    """Answers each command with the document for its name; compresses with zlib where the client does."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port: int = self.listener.getsockname()[1]
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while not self.stopping.is_set():
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.threads.append(threading.Thread(target=self.serve, args=(client,), daemon=True))
            self.threads[-1].start()

    def serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream:
            while len(head := stream.read(16)) == 16:
                length, request, _, opcode = struct.unpack("<4i", head)
                body = stream.read(length - 16)
                compressed = opcode == 2012
                if compressed:
                    opcode, _, compressor = struct.unpack_from("<iiB", body)
                    assert compressor == 2
                    body = zlib.decompress(body[9:])
                client.sendall(self.answer(opcode, body, request, compressed=compressed))

    def answer(self, opcode: int, body: bytes, request: int, *, compressed: bool) -> bytes:
        at = 5 if opcode == 2013 else body.index(b"\0", 4) + 9
        size = int.from_bytes(body[at : at + 4], "little")
        command = bson.decode(body[at : at + size])
        name = next(iter(command))
        document = (
            {**HELLO, "compression": command.get("compression", [])}
            if "hello" in name or "aster" in name
            else ANSWERS.get(name, {"ok": 1.0})
        )
        if opcode == 2004:
            return self.framed(1, struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(document), request)
        reply = bytes(5) + bson.encode(document)
        if compressed:
            return self.framed(2012, struct.pack("<iiB", 2013, len(reply), 2) + zlib.compress(reply), request)
        return self.framed(2013, reply, request)

    def framed(self, opcode: int, body: bytes, request: int) -> bytes:
        return struct.pack("<4i", 16 + len(body), 1_000_000 + request, request, opcode) + body


@pytest.fixture
def server() -> Iterator[int]:
    canned = Canned()
    yield canned.port
    canned.stopping.set()
    for thread in canned.threads:
        thread.join(timeout=5)
    canned.listener.close()


@pytest.mark.parametrize("compressors", ["", "zlib"], ids=["plain", "zlib"])
def test_driver(server: int, compressors: str) -> None:
    with Relay(server, shown_port=27017) as relay:
        options = {"compressors": compressors} if compressors else {}
        with pymongo.MongoClient(
            "127.0.0.1", relay.port, directConnection=True, retryWrites=False, **options
        ) as client:
            items = client.shop.items
            assert items.find_one({"name": {"$regex": "^o"}}) == {"_id": 1, "name": "one"}
            with pytest.raises(pymongo.errors.DuplicateKeyError):
                items.insert_one({"_id": 1, "tags": ["a", "b"]})
            with pytest.raises(pymongo.errors.OperationFailure):
                items.update_one({"_id": 1}, {"$set": {"name": "two"}})
            client.shop.get_collection("log", write_concern=pymongo.WriteConcern(w=0)).insert_one({"n": 1})
    entries = relay.entries("mongodb")
    assert [entry.error for entry in entries if entry.error and entry.error.type == "dissection"] == []
    named: dict[str, Entry] = {entry.get("mongodb_command"): entry for entry in entries}
    found = named["find"]
    assert (found.get("mongodb_database"), found.get("mongodb_collection")) == ("shop", "items")
    shown = found.to_dict()
    assert shown["request"]["document"]["filter"] == {"name": {"$regex": "^o"}}
    assert shown["response"]["document"]["cursor"]["firstBatch"] == [{"_id": 1, "name": "one"}]
    inserts = [entry for entry in entries if entry.get("mongodb_command") == "insert"]
    assert inserts[0].to_dict()["request"]["document"]["documents"] == [{"_id": 1, "tags": ["a", "b"]}]
    assert (inserts[0].get("mongodb_success"), inserts[0].get("mongodb_error_code")) == (False, 11000)
    assert (inserts[1].get("mongodb_collection"), inserts[1].error, inserts[1].to_dict()["response"]) == (
        "log",
        None,
        None,
    )
    assert named["update"].get("mongodb_error_code_name") == "Unauthorized"
    assert (shown["request"].get("compressor"), "OP_MSG") == (compressors or None, found.get("mongodb_opcode"))
    json.dumps([entry.to_dict() for entry in entries])
