"""A real SMTP and LMTP server (aiosmtpd), spoken to by the standard library's clients."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.pipeline.tls._exchange import certificate_file

from ._relay import Relay
from ._servers import free_port, wait_for_port

aiosmtpd_smtp = pytest.importorskip("aiosmtpd.smtp")
aiosmtpd_controller = pytest.importorskip("aiosmtpd.controller")
aiosmtpd_lmtp = pytest.importorskip("aiosmtpd.lmtp")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the server

PASSWORD = "quite-secret"


class Mailbox:
    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 2.0.0 queued"


@contextlib.contextmanager
def serving(factory: Any = None) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        context.load_cert_chain(certificate_file(Path(folder)))
    port = free_port()

    class Controller(aiosmtpd_controller.Controller):  # type: ignore[misc,name-defined]
        def factory(self) -> Any:
            return (factory or aiosmtpd_smtp.SMTP)(self.handler, **self.SMTP_kwargs)

    def check(*_: object) -> Any:
        return aiosmtpd_smtp.AuthResult(success=True)

    options = {"auth_require_tls": False, "authenticator": check, "tls_context": context} if factory is None else {}
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        wait_for_port(port)
        yield port
    finally:
        controller.stop()


def mail() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ada@x.example", "bob@y.example", "Grüße"
    message.set_content("one\n.two starts with a dot\n" * 200)
    return message


def test_mail() -> None:
    with serving() as port, Relay(port, shown_port=25) as relay, smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.login("ada", PASSWORD)
        client.send_message(mail(), to_addrs=["bob@y.example", "nobody@y.example"])
        client.noop()
    entries = [entry for entry in relay.entries("smtp") if entry.get("smtp_command")]
    assert [entry.error for entry in entries] == [None] * len(entries)
    assert [(entry.get("smtp_command"), entry.get("smtp_status")) for entry in entries] == [
        ("EHLO", 250),
        ("AUTH", 235),
        ("MAIL", 250),
        ("RCPT", 250),
        ("RCPT", 550),
        ("DATA", 250),
        ("NOOP", 250),
        ("QUIT", 221),
    ]
    data = entries[5]
    assert (data.get("smtp_subject"), data.get("smtp_mail_from")) == ("Grüße", "ada@x.example")
    assert data.get("request_body").startswith("one\r\n.two starts with a dot\r\n")
    assert data.to_dict()["response"]["enhanced"] == "2.0.0"
    assert entries[1].get("smtp_argument").endswith("[redacted]")


def test_start_tls() -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with serving() as port, Relay(port, shown_port=587) as relay, smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.starttls(context=context)
        client.send_message(mail())
    entries = relay.entries()
    commands = [entry.get("smtp_command") for entry in entries if entry.get("smtp_command")]
    assert commands == ["EHLO", "STARTTLS"]
    assert any(entry.get("tlsx") for entry in entries)


def test_lmtp() -> None:
    text = mail().as_bytes(policy=SMTP)
    with (
        serving(aiosmtpd_lmtp.LMTP) as port,
        Relay(port, shown_port=24) as relay,
        smtplib.LMTP("127.0.0.1", relay.port) as client,
    ):
        client.sendmail("ada@x.example", ["bob@y.example"], text)
    entries = [entry for entry in relay.entries("smtp") if entry.get("smtp_command")]
    assert [entry.get("smtp_command") for entry in entries] == ["LHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert [entry.error for entry in entries] == [None] * 5
