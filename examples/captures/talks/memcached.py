"""The text protocol: storing, getting several, counting, compare and swap, the meta commands, errors."""

from __future__ import annotations

from network import LAPTOP, TEXT_SERVICES

from talks._line import line

PORT = 11211


def talk() -> None:
    with line(TEXT_SERVICES, PORT, LAPTOP) as client:
        client.ask(b"version\r\n", b"\r\n")
        client.ask(b"set page:/ 0 60 13\r\n<html></html>\r\n", b"STORED\r\n")
        client.ask(b"set odd 7 0 9\r\nEND\r\nget \r\n", b"STORED\r\n")
        client.ask(b"add page:/ 0 60 1\r\nx\r\n", b"NOT_STORED\r\n")
        client.ask(b"append page:/ 0 0 1\r\n\n\r\n", b"STORED\r\n")
        client.ask(b"get page:/ odd nothing\r\n", b"get \r\nEND\r\n")
        client.ask(b"gets page:/\r\n", b"END\r\n")
        client.ask(b"cas page:/ 0 0 3 1\r\nnew\r\n", b"EXISTS\r\n")
        client.ask(b"set hits 0 0 1 noreply\r\n9\r\nincr hits 2\r\n", b"11\r\n")
        client.ask(b"decr hits 20\r\n", b"0\r\n")
        client.ask(b"incr page:/ 1\r\n", b"non-numeric value\r\n")
        client.ask(b"touch hits 100\r\n", b"TOUCHED\r\n")
        client.ask(b"delete hits\r\n", b"DELETED\r\n")
        client.ask(b"delete hits\r\n", b"NOT_FOUND\r\n")
        client.ask(b"mg odd v f t\r\n", b"get \r\n")
        client.ask(b"ms meta 2 T90\r\nok\r\n", b"HD\r\n")
        client.ask(b"stats items\r\n", b"END\r\n")
        client.ask(b"gete nothing\r\n", b"ERROR\r\n")
        large = b"z" * 20_000
        client.ask(b"set large 0 0 20000\r\n%s\r\n" % large, b"STORED\r\n")
        client.ask(b"get large\r\n", b"END\r\n")
        client.say(b"quit\r\n")
