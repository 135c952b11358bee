"""The clients of the recording: one function a protocol, each a script of what is said and what must come back.

They speak through plain sockets, so that what goes over the cable stands here, byte for byte. Run inside the clients'
namespace: `python talks.py [NAME...]`.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from network import BROKERS, BUILD_MACHINE, FILES, LAPTOP, PHONE, TEXT_SERVICES

PATIENCE_S = 5


class Line:
    """A TCP connection that sends what it is told and waits for what it expects."""

    def __init__(self, server: tuple[str, int], client: str) -> None:
        self.socket = socket.create_connection(server, PATIENCE_S, (client, 0))
        self._received = bytearray()

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self, end: bytes) -> bytes:
        """Wait for `end`; return everything up to it."""
        while end not in self._received:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"closed before {end!r}: {bytes(self._received)!r}")
            self._received += piece
        size = self._received.index(end) + len(end)
        heard = bytes(self._received[:size])
        del self._received[:size]
        return heard

    def ask(self, data: bytes, end: bytes) -> bytes:
        self.say(data)
        return self.hear(end)


@contextmanager
def line(server: str, port: int, client: str = LAPTOP) -> Iterator[Line]:
    connection = Line((server, port), client)
    try:
        yield connection
    finally:
        connection.socket.close()


def beanstalkd() -> None:
    """A producer and a worker on two tubes: put, reserve, delete, release, bury, kick, statistics, every error."""
    with line(TEXT_SERVICES, 11300, BUILD_MACHINE) as producer, line(TEXT_SERVICES, 11300, LAPTOP) as worker:
        producer.ask(b"use emails\r\n", b"USING emails\r\n")
        job = b'{"to": "ada@example.test", "subject": "Your order"}'
        producer.ask(b"put 100 0 60 %d\r\n%s\r\n" % (len(job), job), b"INSERTED 1\r\n")
        worker.ask(b"watch emails\r\n", b"WATCHING 2\r\n")
        worker.ask(b"ignore default\r\n", b"WATCHING 1\r\n")
        worker.ask(b"ignore emails\r\n", b"NOT_IGNORED\r\n")
        worker.ask(b"reserve\r\n", b"RESERVED 1 %d\r\n%s\r\n" % (len(job), job))
        worker.ask(b"touch 1\r\n", b"TOUCHED\r\n")
        worker.ask(b"stats-job 1\r\n", b"\r\n---\n")
        worker.hear(b"\r\n")
        worker.ask(b"delete 1\r\n", b"DELETED\r\n")
        worker.ask(b"delete 1\r\n", b"NOT_FOUND\r\n")
        # Pipelined: three commands in one segment, one of whose bodies looks like a command.
        producer.say(b"put 10 0 60 8\r\ndelete 1\r\nput 0 1 60 0\r\n\r\nput 5 0 60 6\r\n\x00\r\n\xff\r\n\r\n")
        producer.hear(b"INSERTED 4\r\n")
        worker.ask(b"reserve-with-timeout 0\r\n", b"RESERVED 4 6\r\n\x00\r\n\xff\r\n\r\n")
        worker.ask(b"release 4 1000 0\r\n", b"RELEASED\r\n")
        worker.ask(b"reserve\r\n", b"RESERVED 2 8\r\ndelete 1\r\n")
        worker.ask(b"bury 2 50\r\n", b"BURIED\r\n")
        worker.ask(b"peek-buried\r\n", b"NOT_FOUND\r\n")  # it looks at the tube in use, not at those watched
        producer.ask(b"peek-buried\r\n", b"FOUND 2 8\r\ndelete 1\r\n")
        producer.ask(b"peek-ready\r\n", b"FOUND 4 6\r\n\x00\r\n\xff\r\n\r\n")
        producer.ask(b"kick 10\r\n", b"KICKED 1\r\n")
        producer.ask(b"list-tubes\r\n", b"- emails\n\r\n")
        producer.ask(b"list-tube-used\r\n", b"USING emails\r\n")
        producer.ask(b"stats-tube emails\r\n", b"\n\r\n")
        producer.ask(b"stats\r\n", b"\n\r\n")
        producer.ask(b"pause-tube emails 1\r\n", b"PAUSED\r\n")
        worker.ask(b"reserve-with-timeout 0\r\n", b"TIMED_OUT\r\n")
        worker.ask(b"use thumbnails\r\n", b"USING thumbnails\r\n")
        large = b"\x89PNG" + bytes(3000)
        worker.ask(b"put 1 0 60 %d\r\n%s\r\n" % (len(large), large), b"INSERTED 5\r\n")
        producer.ask(b"put 1 0 60 5000\r\n" + bytes(5000) + b"\r\n", b"JOB_TOO_BIG\r\n")
        producer.ask(b"put 1 0 60 3\r\nabcde\r\n", b"EXPECTED_CRLF\r\n")
        producer.ask(b"fetch 1\r\n", b"UNKNOWN_COMMAND\r\n")
        producer.ask(b"put many\r\n", b"BAD_FORMAT\r\n")
        worker.ask(b"watch thumbnails\r\n", b"WATCHING 2\r\n")
        worker.ask(b"reserve-with-timeout 2\r\n", b"RESERVED ")
        worker.hear(b"\r\n")
        producer.say(b"quit\r\n")


def tftp() -> None:
    """Read and write files, small and in blocks, with and without options, a missing one, a forbidden one."""
    _tftp_read(b"motd.txt", b"netascii")
    _tftp_read(b"boot/kernel.img", b"octet")
    _tftp_read(b"boot/kernel.img", b"octet", {b"blksize": b"1024", b"tsize": b"0", b"timeout": b"2"})
    _tftp_read(b"exactly-two-blocks.bin", b"OCTET")
    _tftp_write(b"upload/report.txt", b"never arrives")  # no such folder
    _tftp_write(b"report.txt", b"temperature,21.5\r\n" * 60)
    _tftp_write(b"image.raw", bytes(range(256)) * 6, {b"blksize": b"1400", b"tsize": b"1536"})
    _tftp_read(b"missing.txt", b"octet")
    _tftp_read(b"../etc/passwd", b"octet")


TFTP_READ, TFTP_WRITE, TFTP_DATA, TFTP_ACK, TFTP_ERROR, TFTP_OPTIONS = range(1, 7)


def _tftp_request(opcode: int, name: bytes, mode: bytes, options: dict[bytes, bytes]) -> tuple[socket.socket, int]:
    """Send a request from a port of its own; return the socket and the block size asked for."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE_S)
    client.bind((PHONE, 0))
    words = [name, mode, *(word for option in options.items() for word in option)]
    client.sendto(struct.pack(">H", opcode) + b"".join(word + b"\0" for word in words), (FILES, 69))
    return client, int(options.get(b"blksize", b"512"))


def _tftp_read(name: bytes, mode: bytes, options: dict[bytes, bytes] | None = None) -> None:
    client, block_bytes = _tftp_request(TFTP_READ, name, mode, options or {})
    with client:
        while True:
            packet, server = client.recvfrom(65536)
            opcode, block = struct.unpack_from(">HH", packet)
            if opcode == TFTP_ERROR:
                return
            client.sendto(struct.pack(">HH", TFTP_ACK, block if opcode == TFTP_DATA else 0), server)
            if opcode == TFTP_DATA and len(packet) < 4 + block_bytes:
                return


def _tftp_write(name: bytes, contents: bytes, options: dict[bytes, bytes] | None = None) -> None:
    client, block_bytes = _tftp_request(TFTP_WRITE, name, b"octet", options or {})
    with client:
        for block in range(len(contents) // block_bytes + 2):
            packet, server = client.recvfrom(65536)  # acknowledges the block before, or the options
            if packet[1] == TFTP_ERROR:
                return
            piece = contents[block * block_bytes : (block + 1) * block_bytes]
            if block * block_bytes <= len(contents):
                client.sendto(struct.pack(">HH", TFTP_DATA, block + 1) + piece, server)


def stomp() -> None:
    """A shop and a mailer: heart-beats, acknowledgements, a transaction, escapes, receipts, errors."""
    login = {"host": "/", "login": "guest", "passcode": "guest"}
    with line(BROKERS, 61613, LAPTOP) as shop, line(BROKERS, 61613, BUILD_MACHINE) as mailer:
        shop.ask(_stomp("STOMP", {"accept-version": "1.1,1.2", **login, "heart-beat": "0,0"}), b"\0")
        mailer.ask(_stomp("CONNECT", {"accept-version": "1.2", **login, "heart-beat": "600,600"}), b"\0")
        subscription = {"id": "sub-0", "destination": "/queue/orders", "ack": "client-individual"}
        mailer.ask(_stomp("SUBSCRIBE", {**subscription, "receipt": "s-1"}), b"receipt-id:s-1\n\n\0")
        for number, body in enumerate(
            (b'{"order": 1, "total": 19.5}', b"line one\nline two\n", b"\0\1\2\xff binary \0")
        ):
            headers = {"destination": "/queue/orders", "content-type": "application/json", "x-number": str(number)}
            shop.say(_stomp("SEND", headers, body))
            mailer.say(_stomp("ACK", {"id": _stomp_ack_id(mailer.hear(body + b"\0"))}))
        shop.say(_stomp("SEND", {"destination": "/queue/orders", "note": "colon: here, back\\slash, new\nline"}, b"x"))
        mailer.say(_stomp("NACK", {"id": _stomp_ack_id(mailer.hear(b"\n\nx\0")), "requeue": "false"}))
        _stomp_transaction(shop)
        mailer.say(_stomp("ACK", {"id": _stomp_ack_id(mailer.hear(b"in a transaction\0"))}))
        # Several frames in one segment, and one frame in several.
        shop.say(b"".join(_stomp("SEND", {"destination": "/topic/prices"}, b"%d" % price) for price in (17, 18, 19)))
        frame = _stomp("SEND", {"destination": "/queue/orders", "content-type": "text/plain"}, b"slowly " * 20)
        for at in range(0, len(frame), 50):
            shop.say(frame[at : at + 50])
            time.sleep(0.02)
        mailer.hear(b"slowly \0")
        for _ in range(4):  # long enough for heart-beats of both sides
            time.sleep(0.4)
            mailer.say(b"\n")
        mailer.ask(_stomp("UNSUBSCRIBE", {"id": "sub-0", "receipt": "u-1"}), b"receipt-id:u-1\n\n\0")
        shop.ask(_stomp("DISCONNECT", {"receipt": "bye"}), b"receipt-id:bye\n\n\0")
        mailer.ask(_stomp("ACK", {"id": "no-such-message"}), b"\0")
    for hello in (
        {"accept-version": "9.9", "host": "/"},  # no common version
        {"accept-version": "1.2", **login, "passcode": "wrong"},
        {"accept-version": "1.2", **login},  # and then a command that does not exist
    ):
        with line(BROKERS, 61613, PHONE) as newcomer:
            answer = newcomer.ask(_stomp("CONNECT", hello), b"\0")
            if answer.startswith(b"CONNECTED"):
                newcomer.hear(b"\n")
                newcomer.ask(_stomp("SHOUT", {"destination": "/queue/orders"}), b"\0")


def _stomp(command: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Build a frame as STOMP 1.2 has it; CONNECT takes no escapes, and needs none here."""
    if body:
        headers = {**headers, "content-length": str(len(body))}
    escaped = (value.replace("\\", "\\\\").replace("\n", "\\n").replace(":", "\\c") for value in headers.values())
    lines = [command, *(f"{name}:{value}" for name, value in zip(headers, escaped, strict=True))]
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


def _stomp_ack_id(message: bytes) -> str:
    """Return what an ACK of this MESSAGE must name."""
    (found,) = (header[4:].decode() for header in message.split(b"\n") if header.startswith(b"ack:"))
    return found


def _stomp_transaction(shop: Line) -> None:
    shop.say(_stomp("BEGIN", {"transaction": "t1"}))
    shop.say(_stomp("SEND", {"destination": "/queue/orders", "transaction": "t1"}, b"in a transaction"))
    shop.ask(_stomp("COMMIT", {"transaction": "t1", "receipt": "c-1"}), b"receipt-id:c-1\n\n\0")
    shop.say(_stomp("BEGIN", {"transaction": "t2"}))
    shop.say(_stomp("SEND", {"destination": "/queue/orders", "transaction": "t2"}, b"never sent"))
    shop.say(_stomp("ABORT", {"transaction": "t2"}))


TALKS: dict[str, Callable[[], None]] = {talk.__name__: talk for talk in (beanstalkd, tftp, stomp)}


def main(names: list[str]) -> None:
    for name in names or TALKS:
        print(f"  {name}", flush=True)
        TALKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
