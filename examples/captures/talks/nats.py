"""Publish and subscribe, a queue group, request and reply, headers, an error."""

from __future__ import annotations

from network import BUILD_MACHINE, LAPTOP, PHONE, TEXT_SERVICES

from talks._line import line

PORT = 4222
HELLO = b'CONNECT {"verbose":%s,"pedantic":false,"name":"%s","lang":"python","version":"1.0","headers":true}\r\n'


def talk() -> None:
    with (
        line(TEXT_SERVICES, PORT, LAPTOP) as shop,
        line(TEXT_SERVICES, PORT, BUILD_MACHINE) as worker,
        line(TEXT_SERVICES, PORT, PHONE) as other_worker,
    ):
        for client in (shop, worker, other_worker):
            client.hear(b"\r\n")  # INFO
        shop.ask(HELLO % (b"true", b"shop") + b"PING\r\n", b"PONG\r\n")
        worker.ask(
            HELLO % (b"false", b"worker") + b"SUB orders.> workers 1\r\nSUB prices.tea 2\r\nPING\r\n", b"PONG\r\n"
        )
        other_worker.ask(HELLO % (b"false", b"other") + b"SUB orders.new workers 9\r\nPING\r\n", b"PONG\r\n")
        shop.ask(b"PUB prices.tea 4\r\n9.75\r\n", b"+OK\r\n")
        worker.hear(b"MSG prices.tea 2 4\r\n9.75\r\n")
        shop.ask(b"SUB _INBOX.shop 5\r\n", b"+OK\r\n")
        body = b'{"item": "tea"}'
        shop.ask(b"PUB orders.eu.new _INBOX.shop %d\r\n%s\r\n" % (len(body), body), b"+OK\r\n")
        worker.hear(body + b"\r\n")
        worker.say(b"PUB _INBOX.shop 8\r\naccepted\r\n")
        shop.hear(b"accepted\r\n")
        headers = b"NATS/1.0\r\nTrace-Id: 42\r\n\r\n"
        sizes = (len(headers), len(headers) + len(body))
        shop.ask(b"HPUB orders.eu.new %d %d\r\n%s%s\r\n" % (*sizes, headers, body), b"+OK\r\n")
        worker.hear(body + b"\r\n")
        shop.ask(b"UNSUB 5\r\n", b"+OK\r\n")
        shop.ask(b"PUB prices.tea 0\r\n\r\n", b"+OK\r\n")
        worker.hear(b"MSG prices.tea 2 0\r\n\r\n")
        other_worker.ask(b"SHOUT everybody\r\n", b"-ERR 'Unknown Protocol Operation'\r\n")
