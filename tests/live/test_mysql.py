"""A real MariaDB server: its client and plain sockets talk to it, and what passes is read as the protocol says."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from typing import Self

import pytest

from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running

PASSWORD = "quite-secret"
FULL_PACKET = 0xFFFFFF
SETUP = f"""\
create database shop;
use shop;
create table items (id int primary key, name varchar(20), price decimal(6,2), made datetime);
insert into items values (1, 'one', 1.50, '2024-02-29 01:02:03'), (2, null, null, null);
create user ann@'127.0.0.1' identified by '{PASSWORD}';
grant all on *.* to ann@'127.0.0.1';
create user bob@'127.0.0.1' identified by '';
grant all on shop.* to bob@'127.0.0.1';
"""
"""An init file of the server: a statement a line."""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    mariadbd, install = need("mariadbd", "mariadb-server"), need("mariadb-install-db", "mariadb-server")
    port = free_port()
    with TemporaryDirectory() as name:
        folder = Path(name)
        user = ["--user=root"] if os.geteuid() == 0 else []
        (folder / "setup.sql").write_text(SETUP)
        options = ["--no-defaults", f"--datadir={folder / 'data'}", *user]
        made = [install, *options, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        options += [
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={folder / 'socket'}",
            "--skip-name-resolve",
        ]
        options += [f"--init-file={folder / 'setup.sql'}", "--local-infile=1", f"--pid-file={folder / 'pid'}"]
        options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--max-allowed-packet=64M"]
        with running([mariadbd, *options], port):
            yield port


def client(port: int, statement: str, *words: str, fails: bool = False) -> None:
    command = [need("mariadb", "mariadb-client"), "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uann", "--batch"]
    run = subprocess.run(
        [*command, *words, "--force", "-e", statement, "shop"],
        env={**os.environ, "MYSQL_PWD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert fails or run.returncode == 0, run.stderr


class Connection:
    """A client of the binary protocol that reads whole packets; bob has no password."""

    def __init__(self, port: int, capabilities: int = 0x0009_A20D) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.packet()
        login = pack("<IIB", capabilities, 1 << 24, 45) + bytes(23) + b"bob\0\0shop\0mysql_native_password\0"
        self.socket.sendall(pack("<I", len(login))[:3] + b"\1" + login)
        assert self.packet()[0] == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def packet(self) -> bytes:
        head = self.read(4)
        return self.read(int.from_bytes(head[:3], "little"))

    def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self.socket.recv(count - len(found))
            assert piece, "the server closed the connection"
            found += piece
        return found

    def send(self, payload: bytes) -> None:
        sequence = 0
        while len(payload) >= FULL_PACKET:
            self.socket.sendall(b"\xff\xff\xff" + bytes([sequence]) + payload[:FULL_PACKET])
            payload, sequence = payload[FULL_PACKET:], sequence + 1
        self.socket.sendall(pack("<I", len(payload))[:3] + bytes([sequence]) + payload)

    def until_end(self, count: int) -> None:
        """Read packets up to the `count`-th EOF."""
        while count:
            packet = self.packet()
            assert packet[0] != 0xFF, packet
            count -= packet[0] == 0xFE and len(packet) < 9


def found(relay: Relay) -> list[Entry]:
    entries = relay.entries("mysql")
    assert [entry.error for entry in entries if entry.error] == []
    assert PASSWORD not in str([entry.to_dict() for entry in entries])
    return entries


def asked(entries: list[Entry]) -> list[str]:
    return [entry.get("mysql_query") or entry.get("mysql_command") for entry in entries]


STATEMENTS = (
    "select * from items order by id; update items set price = 2 where id = 2; select 1 as a union select 2;"
    " use mysql; insert into shop.items values (1, 'x', 0, now())"
)


def test_login_queries_and_errors(server: int) -> None:
    with Relay(server, shown_port=3306) as relay:
        client(relay.port, STATEMENTS, "--skip-ssl", fails=True)
    entries = [entry for entry in found(relay) if entry.get("mysql_query") != "SELECT DATABASE()"]
    assert asked(entries) == [
        "HANDSHAKE",
        "LOGIN",
        "select * from items order by id",
        "update items set price = 2 where id = 2",
        "select 1 as a union select 2",
        "COM_INIT_DB",
        "insert into shop.items values (1, 'x', 0, now())",
        "COM_QUIT",
    ]
    login, selected, updated, both, used, failed = (entry.to_dict() for entry in entries[1:7])
    assert (login["request"]["user"], login["request"]["database"]) == ("ann", "shop")
    assert [column["type"] for column in selected["response"]["columns"]] == ["int", "varchar", "decimal", "datetime"]
    assert selected["response"]["rows"] == [["1", "one", "1.50", "2024-02-29 01:02:03"], ["2", None, None, None]]
    assert (failed["response"]["errorCode"], failed["response"]["sqlState"]) == (1062, "23000")
    assert (updated["response"]["affectedRows"], both["response"]["rows"]) == (1, [["1"], ["2"]])
    assert [entry.get("mysql_success") for entry in entries[1:7]] == [True] * 5 + [False]
    assert (selected["request"]["database"], used["request"]["database"]) == ("shop", "mysql")


def test_prepared_statements(server: int) -> None:
    with Relay(server, shown_port=3306) as relay, Connection(relay.port) as connection:
        connection.send(b"\x16select id, name, price, made, 0.5e0 from items where id >= ? and id < ?")
        head = connection.packet()
        connection.until_end(2)
        values = b"\0\1" + b"\x08\0\x03\0" + pack("<qi", 1, 3)
        connection.send(b"\x17" + head[1:5] + b"\0" + pack("<I", 1) + values)
        connection.until_end(2)
        connection.send(b"\x19" + head[1:5])
        connection.send(b"\x0e")
        connection.packet()
        connection.send(b"\x09")
        connection.packet()
        connection.send(b"\x04items\0")
        connection.until_end(1)
        connection.send(b"\x01")
    entries = found(relay)
    names = [entry.get("mysql_command") for entry in entries]
    assert names[2:] == [
        "COM_STMT_PREPARE",
        "COM_STMT_EXECUTE",
        "COM_STMT_CLOSE",
        "COM_PING",
        "COM_STATISTICS",
        "COM_FIELD_LIST",
        "COM_QUIT",
    ]
    made, run, closed, _, statistics, listed = (entry.to_dict() for entry in entries[2:8])
    assert (made["response"]["parameterCount"], made["response"]["columnCount"]) == (2, 5)
    assert run["request"]["query"] == made["request"]["query"] == closed["request"]["query"]
    assert run["request"]["parameters"] == [1, 3]
    assert run["response"]["rows"][0] == [1, "one", "1.50", "2024-02-29 01:02:03", 0.5]
    assert "Uptime" in statistics["response"]["text"]
    assert [column["name"] for column in listed["response"]["columns"]] == ["id", "name", "price", "made"]


def test_several_results_of_a_procedure(server: int) -> None:
    with Relay(server, shown_port=3306) as relay:
        client(
            relay.port,
            "drop procedure if exists p; create procedure p() select 1 as a; call p()",
            "--skip-ssl",
        )
    *_, called, _ = found(relay)
    shown = called.to_dict()
    assert (shown["request"]["query"], shown["response"]["rows"]) == ("call p()", [["1"]])


def test_local_infile(server: int, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_text("".join(f"{at}\tn{at}\n" for at in range(10, 20)))
    load = f"load data local infile '{rows}' into table items (id, name)"
    with Relay(server, shown_port=3306) as relay:
        client(relay.port, f"{load}; delete from items where id >= 10", "--skip-ssl", "--local-infile=1")
    entries = {entry.get("mysql_query"): entry.to_dict() for entry in found(relay)}
    assert entries[load]["request"]["fileBytes"] == len(rows.read_text())
    assert (entries[load]["response"]["affectedRows"], entries[load]["response"]["localInfile"]) == (10, str(rows))
    assert entries["delete from items where id >= 10"]["response"]["affectedRows"] == 10


def test_statement_longer_than_a_packet(server: int) -> None:
    statement = "select length('" + "x" * FULL_PACKET + "') as n"
    with Relay(server, shown_port=3306) as relay, Connection(relay.port) as connection:
        for query in (b"select 1", statement.encode(), b"select 2"):
            connection.send(b"\x03" + query)
            connection.until_end(2)
    *_, one, long, two = found(relay)
    assert len(long.get("mysql_query")) == len(statement)
    shown = [entry.to_dict()["response"]["rows"] for entry in (one, long, two)]
    assert shown == [[["1"]], [[str(FULL_PACKET)]], [["2"]]]


def test_compressed_protocol(server: int) -> None:
    with Relay(server, shown_port=3306) as relay:
        client(relay.port, "select repeat('ab', 5000) as r; select 1", "--skip-ssl", "--compress")
    entries = found(relay)
    assert asked(entries)[-3:] == ["select repeat('ab', 5000) as r", "select 1", "COM_QUIT"]
    assert entries[-3].to_dict()["response"]["rows"] == [["ab" * 5000]]


def test_wrong_password(server: int) -> None:
    with Relay(server, shown_port=3306) as relay:
        words = [need("mariadb", "mariadb-client"), "--no-defaults", "-h127.0.0.1", f"-P{relay.port}", "-uann"]
        subprocess.run(
            [*words, "--skip-ssl", "-e", "select 1"],
            env={**os.environ, "MYSQL_PWD": "wrong"},
            capture_output=True,
            timeout=30,
        )
    _, login = found(relay)
    assert (login.get("mysql_error_code"), login.get("mysql_success")) == (1045, False)
