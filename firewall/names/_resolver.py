"""Asks this machine's resolvers for the addresses of names, many at once, by UDP and where an answer is cut by TCP."""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from kubeshark.firewall.names._dns import ADDRESS_TYPES, Answer, Question, parse_answer, write_question

__all__ = ["Found", "Server", "ask_resolvers", "system_resolvers"]

RESOLV_CONF = Path("/etc/resolv.conf")
UPSTREAM = Path("/run/systemd/resolve/resolv.conf")
"""Whom a resolver on this machine's loopback asks itself: where answers come from, on the wire."""

MAX_CONF_BYTES = 64 << 10
MAX_SERVERS = 8
PORT = 53
WAIT_S = 1.5  # for the answers of one resolver
AT_ONCE = 64
NO_SUCH_NAME = 3

Server = tuple[IPv4Address | IPv6Address, int]  # address, port


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a name. `problem`: why it is not known, "" where a resolver did answer, be it with nothing."""

    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    ttl_s: int = 0
    problem: str = ""


def system_resolvers(file: Path | None = None) -> tuple[Server, ...]:
    """Return the name servers that this machine is configured with, and those that one on its loopback asks."""
    found = dict.fromkeys(_servers(RESOLV_CONF if file is None else file))
    if file is None and any(address.is_loopback for address, _ in found):
        found |= dict.fromkeys(_servers(UPSTREAM))
    return tuple(found)[:MAX_SERVERS]


def _servers(file: Path) -> Iterable[Server]:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_CONF_BYTES).decode("ascii", "replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with suppress(ValueError):
                yield ip_address(words[1].partition("%")[0]), PORT


def ask_resolvers(names: Sequence[str], servers: Sequence[Server], *, wait_s: float = WAIT_S) -> dict[str, Found]:
    """Return what is found of each name: one resolver after the other, until each question has an answer."""
    problem = "no resolver is configured" if not servers else f"no answer from {_shown(servers)}"
    problems = dict.fromkeys(names, problem)
    answers: dict[tuple[str, int], Answer] = {}
    for server in servers:
        left = [(name, kind) for name in names for kind in ADDRESS_TYPES if (name, kind) not in answers]
        for start in range(0, len(left), AT_ONCE):
            answers |= _ask(left[start : start + AT_ONCE], server, wait_s, problems)
        if len(answers) == len(names) * len(ADDRESS_TYPES):
            break
    return {name: _found([answers.get((name, kind)) for kind in ADDRESS_TYPES], problems[name]) for name in names}


def _found(answers: Sequence[Answer | None], problem: str) -> Found:
    given = [each for each in answers if each is not None]
    addresses = tuple(dict.fromkeys(address for each in given for address in each.addresses))
    ttl_s = min((each.ttl_s for each in given if each.addresses), default=0)
    return Found(addresses, ttl_s, "" if len(given) == len(answers) else problem)


def _ask(
    asked: Sequence[tuple[str, int]], server: Server, wait_s: float, problems: dict[str, str]
) -> dict[tuple[str, int], Answer]:
    """Ask one resolver; note in `problems` why it gave no answer."""
    found: dict[tuple[str, int], Answer] = {}
    family = socket.AF_INET if server[0].version == 4 else socket.AF_INET6
    waiting: dict[int, Question] = {}
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:  # a port of the kernel's choice
        try:
            link.connect((str(server[0]), server[1]))  # datagrams of others are not seen
            for name, kind in asked:
                while (number := secrets.randbits(16)) in waiting:
                    pass
                waiting[number] = Question(number, name, kind)
                link.send(write_question(waiting[number]))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            problems.update((name, f"{server[0]}: {said}") for name, _ in asked)
        end = time.monotonic() + wait_s
        while waiting and (left := end - time.monotonic()) > 0:
            if not select.select([link], [], [], left)[0]:
                break
            try:
                answer = parse_answer(link.recv(65_535))
            except ValueError:
                continue
            except OSError as error:  # refused: nobody listens there
                problems.update((each.name, f"{server[0]}: {error.strerror}") for each in waiting.values())
                break
            if waiting.get(answer.question.id) != answer.question:
                continue
            question = waiting.pop(answer.question.id)
            if answer.is_cut:
                whole = _by_tcp(question, server, family, wait_s)
                answer = whole if whole is not None else answer  # a part is better than nothing
            if answer.code in (0, NO_SUCH_NAME):
                found[question.name, question.type] = answer
            else:
                problems[question.name] = f"{server[0]} answers with error {answer.code}"
    return found


def _by_tcp(question: Question, server: Server, family: int, wait_s: float) -> Answer | None:
    data = write_question(question)
    with socket.socket(family) as link:
        link.settimeout(wait_s)
        try:
            link.connect((str(server[0]), server[1]))
            link.sendall(struct.pack("!H", len(data)) + data)
            size = int.from_bytes(_exactly(link, 2), "big")
            answer = parse_answer(_exactly(link, size))
        except (OSError, ValueError):
            return None
    return answer if answer.question == question else None


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece:
            raise ValueError("it ends early")
        data += piece
    return data


def _shown(servers: Sequence[Server]) -> str:
    return ", ".join(str(address) for address, _ in servers)
