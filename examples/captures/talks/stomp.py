"""A shop and a mailer: heart-beats, acknowledgements, a transaction, escapes, receipts, errors."""

from __future__ import annotations

import time

from network import BROKERS, BUILD_MACHINE, LAPTOP, PHONE

from talks._line import Line, line

PORT = 61613


def talk() -> None:
    login = {"host": "/", "login": "guest", "passcode": "guest"}
    with line(BROKERS, PORT, LAPTOP) as shop, line(BROKERS, PORT, BUILD_MACHINE) as mailer:
        shop.ask(_frame("STOMP", {"accept-version": "1.1,1.2", **login, "heart-beat": "0,0"}), b"\0")
        mailer.ask(_frame("CONNECT", {"accept-version": "1.2", **login, "heart-beat": "600,600"}), b"\0")
        subscription = {"id": "sub-0", "destination": "/queue/orders", "ack": "client-individual"}
        mailer.ask(_frame("SUBSCRIBE", {**subscription, "receipt": "s-1"}), b"receipt-id:s-1\n\n\0")
        for number, body in enumerate(
            (b'{"order": 1, "total": 19.5}', b"line one\nline two\n", b"\0\1\2\xff binary \0")
        ):
            headers = {"destination": "/queue/orders", "content-type": "application/json", "x-number": str(number)}
            shop.say(_frame("SEND", headers, body))
            mailer.say(_frame("ACK", {"id": _ack_id(mailer.hear(body + b"\0"))}))
        shop.say(_frame("SEND", {"destination": "/queue/orders", "note": "colon: here, back\\slash, new\nline"}, b"x"))
        mailer.say(_frame("NACK", {"id": _ack_id(mailer.hear(b"\n\nx\0")), "requeue": "false"}))
        _transaction(shop)
        mailer.say(_frame("ACK", {"id": _ack_id(mailer.hear(b"in a transaction\0"))}))
        # Several frames in one segment, and one frame in several.
        shop.say(b"".join(_frame("SEND", {"destination": "/topic/prices"}, b"%d" % price) for price in (17, 18, 19)))
        frame = _frame("SEND", {"destination": "/queue/orders", "content-type": "text/plain"}, b"slowly " * 20)
        for at in range(0, len(frame), 50):
            shop.say(frame[at : at + 50])
            time.sleep(0.02)
        mailer.hear(b"slowly \0")
        for _ in range(4):  # long enough for heart-beats of both sides
            time.sleep(0.4)
            mailer.say(b"\n")
        mailer.ask(_frame("UNSUBSCRIBE", {"id": "sub-0", "receipt": "u-1"}), b"receipt-id:u-1\n\n\0")
        shop.ask(_frame("DISCONNECT", {"receipt": "bye"}), b"receipt-id:bye\n\n\0")
        mailer.ask(_frame("ACK", {"id": "no-such-message"}), b"\0")
    for hello in (
        {"accept-version": "9.9", "host": "/"},  # no common version
        {"accept-version": "1.2", **login, "passcode": "wrong"},
        {"accept-version": "1.2", **login},  # and then a command that does not exist
    ):
        with line(BROKERS, PORT, PHONE) as newcomer:
            answer = newcomer.ask(_frame("CONNECT", hello), b"\0")
            if answer.startswith(b"CONNECTED"):
                newcomer.hear(b"\n")
                newcomer.ask(_frame("SHOUT", {"destination": "/queue/orders"}), b"\0")


def _frame(command: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Build a frame as STOMP 1.2 has it; CONNECT takes no escapes, and needs none here."""
    if body:
        headers = {**headers, "content-length": str(len(body))}
    escaped = (value.replace("\\", "\\\\").replace("\n", "\\n").replace(":", "\\c") for value in headers.values())
    lines = [command, *(f"{name}:{value}" for name, value in zip(headers, escaped, strict=True))]
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


def _ack_id(message: bytes) -> str:
    """Return what an ACK of this MESSAGE must name."""
    (found,) = (header[4:].decode() for header in message.split(b"\n") if header.startswith(b"ack:"))
    return found


def _transaction(shop: Line) -> None:
    shop.say(_frame("BEGIN", {"transaction": "t1"}))
    shop.say(_frame("SEND", {"destination": "/queue/orders", "transaction": "t1"}, b"in a transaction"))
    shop.ask(_frame("COMMIT", {"transaction": "t1", "receipt": "c-1"}), b"receipt-id:c-1\n\n\0")
    shop.say(_frame("BEGIN", {"transaction": "t2"}))
    shop.say(_frame("SEND", {"destination": "/queue/orders", "transaction": "t2"}, b"never sent"))
    shop.say(_frame("ABORT", {"transaction": "t2"}))
