"""Names that others choose (certificates, hosts, files, plugins, policies, nodes) are texts in every view.

The page's fixture holds that no request leaves the origin and that nothing was refused by the content policy: markup
that was taken for markup would ask for 198.51.100.7, and complain.
"""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import dpkt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeshark._certificates import issue
from tests.ui._acting import ROW, done, drop
from tests.ui._hub import HubProcess
from tests.worker._cluster import Process

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

MARKUP = "<img src=http://198.51.100.7/x onerror=document.title='owned'>"  # as long as a common name may be
SCRIPT = "<script>document.title='owned'</script>"
HOST = "<svg/onload=document.title='owned'>.example"
PATH = "/<iframe/src=javascript:document.title='owned'>"
NODE = "<b/onclick=document.title='owned'>node"
FOREIGN = "img[onerror], script:not([src]), [onload], [onclick], iframe, object, embed"
MANIFEST = f"""id = "shout"
version = "1.0.0"
abi = 1
language = "js"
entry = "main.js"
hooks = ["filter"]
description = "{MARKUP}{SCRIPT}"
authors = ["{SCRIPT}"]
[[filters]]
name = "is_loud"
reads = ["method"]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    issue(hub.home / "pki", ["localhost"])
    for store in (hub.home / "node", hub.store):
        hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(store))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def worker(hub: HubProcess) -> Iterator[Process]:
    options = ("--node", NODE)
    process = Process(hub.home / "node", hub.home / "pki/localhost", home=hub.home / "nobody", options=options)
    process.start()
    yield process
    process.stop()


class Wire:
    """A TCP connection that is written into a capture."""

    def __init__(self, writer: dpkt.pcap.Writer, client_port: int, server_port: int, at: float) -> None:
        self._writer, self._ports, self._at = writer, (client_port, server_port), at
        self._next = {True: 1, False: 100}  # sequence numbers, by whether the client sends
        for from_client, flags in ((True, 2), (False, 18), (True, 16)):
            self.send(from_client, b"", flags)

    def send(self, from_client: bool, data: bytes, flags: int = 24) -> None:
        ends = (b"\x0a\x00\x00\x07", b"\x0a\x00\x00\x08")[:: 1 if from_client else -1]
        ports = self._ports[:: 1 if from_client else -1]
        for start in range(0, max(1, len(data)), 1_400):
            part = data[start : start + 1_400]
            seq, ack = self._next[from_client], self._next[not from_client]
            segment = dpkt.tcp.TCP(sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags, data=part)
            packet = dpkt.ip.IP(src=ends[0], dst=ends[1], p=6, data=segment, ttl=64)
            self._at += 0.001
            self._writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet)), self._at)
            self._next[from_client] += len(part) + bool(flags & 3)


def certificate(folder: Path) -> Path:
    """Return key and certificate, in one file, whose every name is hostile."""
    key = ec.generate_private_key(ec.SECP256R1())

    def name(organization: str) -> x509.Name:
        oids = x509.oid.NameOID
        return x509.Name(
            [
                x509.NameAttribute(oids.COMMON_NAME, MARKUP),
                x509.NameAttribute(oids.ORGANIZATION_NAME, organization),
                x509.NameAttribute(oids.ORGANIZATIONAL_UNIT_NAME, "\"'--><u>"),
            ]
        )

    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    alternatives = [x509.DNSName(HOST), x509.DNSName(MARKUP), x509.UniformResourceIdentifier("javascript:alert(1)")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name(SCRIPT))
        .issuer_name(name(f"issuer {SCRIPT}"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=3_650))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "hostile.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def handshake(wire: Wire, pem: Path) -> None:
    """Shake hands by TLS 1.2, where certificates are in the clear, as OpenSSL does it."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(pem)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    pipes = {True: ssl.MemoryBIO(), False: ssl.MemoryBIO()}  # what each has sent
    ends = {
        True: client.wrap_bio(pipes[False], pipes[True], server_hostname=HOST),
        False: server.wrap_bio(pipes[True], pipes[False], server_side=True),
    }
    done: set[bool] = set()
    while len(done) < 2:
        for is_client, end in ends.items():
            try:
                end.do_handshake()
                done.add(is_client)
            except ssl.SSLWantReadError:
                pass
            if pipes[is_client].pending:
                data = pipes[is_client].read()
                wire.send(is_client, data)
                pipes[is_client].write(data)


def capture(file: Path, pem: Path) -> None:
    body = f"<html>{SCRIPT}{MARKUP}</html>".encode()
    asked = f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nX-Name: {MARKUP}\r\nCookie: a={SCRIPT}\r\n\r\n".encode()
    head = (
        f"HTTP/1.1 200 {SCRIPT}\r\nServer: {MARKUP}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with file.open("wb") as out:
        writer = dpkt.pcap.Writer(out)
        handshake(Wire(writer, 40_001, 443, 1_795_000_000.0), pem)
        for n in range(2):
            plain = Wire(writer, 40_002 + n, 80, 1_795_000_001.0 + n)
            plain.send(True, asked)
            plain.send(False, head.encode() + body)


def written(name: str) -> str:
    """Return a text as it stands in a distinguished name (RFC 4514 §2.4)."""
    return name.replace("<", r"\<").replace(">", r"\>")


def harmless(page: Page) -> None:
    page.wait_for_timeout(150)  # what an event handler would do, it would have done
    assert "owned" not in page.title()
    assert page.locator(f"body :is({FOREIGN})").count() == 0


def opened_entry(page: Page, kfl: str) -> None:
    page.goto(page.url.split("?")[0] + f"?kfl={quote(kfl)}")
    page.wait_for_selector(ROW)
    done(page)
    page.locator(ROW).first.locator(".c-summary").click()
    page.wait_for_selector(".detail .section")
    for tab in page.locator(".detail").get_by_role("tab").all():
        tab.click()
        harmless(page)
    page.locator(".detail").get_by_role("tab").first.click()


def test_a_hostile_certificate_and_everything_around_it(
    opened: Page, hub: HubProcess, worker: Process, tmp_path: Path
) -> None:
    page, press = opened, opened.keyboard.press
    page.on("dialog", lambda dialog: pytest.fail(f"a script asked: {dialog.message}"))
    file = tmp_path / "<img src=x onerror=document.title='owned'>.pcap"
    capture(file, certificate(tmp_path))

    press("3")
    drop(page, file)
    expect(page.locator(".imports li[data-state=done]")).to_contain_text("3 connections")
    expect(page.locator("table.grid").first).to_contain_text(file.name)
    harmless(page)

    press("1")
    opened_entry(page, 'protocol == "TLS" && src.ip == "10.0.0.7"')
    for text in (written(MARKUP), f"O={written(SCRIPT)}", f"O=issuer {written(SCRIPT)}", HOST):
        expect(page.locator(".detail")).to_contain_text(text)
    press("Escape")
    opened_entry(page, f'http && host == "{HOST}"')
    for text in (MARKUP, SCRIPT, HOST, PATH):
        expect(page.locator(".detail")).to_contain_text(text)
    press("Escape")
    press("Home")
    press("m")
    press("j")
    press("m")
    for key, dialog in (("c", "Compare"), ("e", "Export"), ("x", "Explain"), ("?", "Help")):
        press(key)
        expect(page.get_by_role("dialog", name=re.compile(dialog, re.IGNORECASE))).to_be_visible()
        harmless(page)
        press("Escape")
    press("/")
    page.wait_for_selector(".editor[data-ready]")
    press("Control+a")
    page.keyboard.type('src.ip == "10.0.0.7" && host == ')
    expect(page.locator(".editor .cm-tooltip-autocomplete")).to_contain_text("<svg/onload=")
    harmless(page)
    press("Escape")
    press("Escape")

    press("2")
    page.wait_for_selector(".map-canvas canvas")
    for group in ("host", "service", "node", "namespace"):
        page.locator(".map-tools select").first.select_option(group)
        harmless(page)
    press("8")
    page.wait_for_selector(".lanes canvas")
    page.get_by_role("button", name="table", exact=True).click()
    page.wait_for_selector("table.grid")
    harmless(page)

    press("4")
    page.wait_for_selector("input[type=file]", state="attached")
    folder = tmp_path / "shout"
    folder.mkdir()
    (folder / "main.js").write_text("kubeshark.plugin({ filters: { is_loud: () => true } });")
    (folder / "plugin.toml").write_text(MANIFEST)
    hub.run("plugin", "pack", str(folder), "-o", str(tmp_path / "shout.ksp"))
    page.set_input_files("input[type=file]", tmp_path / "shout.ksp")
    sheet = page.get_by_role("dialog", name="Install shout 1.0.0")
    expect(sheet).to_contain_text(MARKUP)
    harmless(page)
    sheet.get_by_label("Install it although").check()
    sheet.get_by_role("button", name="Install").click()
    card = page.get_by_role("region", name="Plugin shout")
    expect(card).to_contain_text(MARKUP)
    harmless(page)

    press("6")
    page.get_by_label("Policy, YAML or JSON").fill(
        f'apiVersion: kubeshark.io/v1\nkind: FirewallPolicy\nmetadata: {{name: "{MARKUP}"}}\nspec: {{}}\n'
    )
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("alert")).to_contain_text("<img src=")
    harmless(page)

    page.locator("nav").get_by_role("button", name="Settings").click()
    form = page.get_by_role("form", name="Add a worker")
    form.get_by_label("URL").fill(f"https://localhost:{worker.port}/{SCRIPT}")
    form.get_by_label("Folder").fill(f"/{MARKUP}")
    form.get_by_role("button", name="Add").click()
    expect(page.locator(".notice")).to_contain_text("<")
    harmless(page)
    page.get_by_role("button", name="Dismiss").click()
    form.get_by_label("URL").fill(f"https://localhost:{worker.port}")
    form.get_by_label("Folder").fill(str(hub.home / "pki/hub"))
    form.get_by_role("button", name="Add").click()
    url = f"localhost:{worker.port}"
    expect(page.get_by_role("region", name="Workers").locator("tbody tr")).to_contain_text(url)
    expect(page.locator("body")).not_to_contain_text(NODE)  # a hub takes no such name from a worker
    harmless(page)
    page.locator("nav").get_by_role("button", name="Workers").click()
    expect(page.locator("main")).to_contain_text(url)
    harmless(page)
    page.locator("header .state").click()
    expect(page.get_by_role("dialog", name="Workers")).to_contain_text(url)
    harmless(page)
    press("Escape")
    page.locator("nav").get_by_role("button", name="Traffic").click()
    page.wait_for_selector(ROW)
    done(page)
    harmless(page)
