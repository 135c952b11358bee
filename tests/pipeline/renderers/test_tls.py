"""What a TLS handshake looks like."""

from __future__ import annotations

from dataclasses import replace

from kubeshark.extension_api import TableRow
from kubeshark.pipeline.dissectors.security import tls as dissector
from kubeshark.pipeline.renderers import tls

from ..dissectors._streams import tcp
from ..dissectors.security.test_tls import ANSWER, HELLO, OLD_ANSWER
from ..tls._hellos import alert
from ._entries import FakeEntry


def entry(client: bytes, server: bytes) -> FakeEntry:
    messages = list(dissector.dissect(dissector.TLS, [tcp(client, server)])[0])
    return FakeEntry(dissector.TLS, tuple(messages))  # type: ignore[arg-type]


def test_row() -> None:
    row = tls.summarize(entry(HELLO, ANSWER))
    assert row
    assert (row["method"], row["methodQuery"]) == ("ClientHello", 'tlsx_info == "ClientHello"')
    assert (row["summary"], row["summaryQuery"]) == ("example.org", 'tlsx_sni == "example.org"')
    assert (row["status"], row["statusQuery"]) == (0, "")


def test_refused() -> None:
    refused = entry(HELLO, alert(2, 40))
    row, shown = tls.summarize(refused), tls.render(refused)
    assert row
    assert shown
    assert (row["status"], row["statusQuery"]) == (40, "tlsx_alert == 40")
    assert shown.response[0].rows[1:] == (
        TableRow("Description", "handshake_failure"),
        TableRow("Code", 40, "tlsx_alert"),
    )


def test_alert_alone() -> None:
    shown = tls.render(entry(alert(1, 90), b""))
    assert shown
    assert [section.title for section in shown.event] == ["Alert"]


def test_sections() -> None:
    shown = tls.render(entry(HELLO, OLD_ANSWER))
    assert shown
    assert [section.title for section in shown.request] == ["ClientHello", "Cipher suites"]
    assert [section.title for section in shown.response] == ["ServerHello", "Security"]
    assert shown.request[1].rows[1] == TableRow("0x1301", "TLS_AES_128_GCM_SHA256", "tlsx_cipher_suites[1]")
    assert TableRow("Cipher suite", "TLS_RSA_WITH_RC4_128_SHA") in shown.response[0].rows


def test_every_selector_selects_its_entry() -> None:
    made = entry(HELLO, ANSWER)
    shown = tls.render(made)
    assert shown
    for section in (*shown.request, *shown.response):
        for row in section.rows:
            if row.selector:
                value = f'"{row.value}"' if isinstance(row.value, str) else str(row.value).lower()
                assert made.is_selected_by(f"{row.selector} == {value}"), row


def test_others_are_not_mine() -> None:
    made = entry(HELLO, ANSWER)
    made.protocol = replace(made.protocol, macro="", name="toy")
    assert tls.summarize(made) is None
    assert tls.render(made) is None
