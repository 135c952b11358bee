"""Every kind of value and reply: RESP2 and RESP3, a pipeline, a transaction, publish and subscribe, errors."""

from __future__ import annotations

from network import BUILD_MACHINE, LAPTOP, TEXT_SERVICES

from talks._line import line

PORT = 6379


def talk() -> None:
    with line(TEXT_SERVICES, PORT, LAPTOP) as client, line(TEXT_SERVICES, PORT, BUILD_MACHINE) as listener:
        client.ask(b"PING\r\n", b"+PONG\r\n")  # inline
        client.ask(_command("CLIENT", "SETNAME", "shop"), b"+OK\r\n")
        client.ask(_command("SET", "session:8f14e45f", '{"user": "ada"}', "EX", "3600"), b"+OK\r\n")
        client.ask(_command("GET", "session:8f14e45f"), b'{"user": "ada"}\r\n')
        client.ask(_command("GET", "session:none"), b"$-1\r\n")
        client.say(b"".join(_command("INCR", "visits") for _ in range(5)))
        client.hear(b":5\r\n")
        client.ask(_command("RPUSH", "queue", "one", "two", "three"), b":3\r\n")
        client.ask(_command("LRANGE", "queue", "0", "-1"), b"three\r\n")
        client.ask(_command("HSET", "order:1", "item", "tea", "count", "2"), b":2\r\n")
        client.ask(_command("HGETALL", "order:1"), b"\r\n2\r\n")
        client.ask(_command("ZADD", "prices", "9.5", "tea", "30", "cups"), b":2\r\n")
        client.ask(_command("INCR", "queue"), b"\r\n")  # WRONGTYPE
        client.ask(_command("FLY", "away"), b"\r\n")  # unknown command
        client.ask(_command("SET", "image", "\x00\r\n" * 10_000), b"+OK\r\n")
        client.ask(_command("GET", "image"), b"\x00\r\n\r\n")
        for word in ("MULTI", "INCR visits", "LLEN queue"):
            client.ask(_command(*word.split()), b"\r\n")
        client.ask(_command("EXEC"), b"*2\r\n:6\r\n:3\r\n")
        listener.ask(_command("HELLO", "3"), b"\r\n*0\r\n")
        listener.ask(_command("SUBSCRIBE", "prices", "orders"), b"$6\r\norders\r\n:2\r\n")
        client.ask(_command("PUBLISH", "prices", "tea 9.75"), b":1\r\n")
        listener.hear(b"tea 9.75\r\n")
        listener.ask(_command("UNSUBSCRIBE"), b":0\r\n")
        listener.ask(_command("HGETALL", "order:1"), b"\r\n2\r\n")  # a map in RESP3
        client.ask(_command("EVAL", "return {1, 2, {'three'}}", "0"), b"three\r\n")
        client.ask(_command("QUIT"), b"+OK\r\n")


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
