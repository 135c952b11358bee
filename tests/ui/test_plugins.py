"""Plugins from the page: installed with what was agreed to, set, quarantined and used again."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, apply, done
from tests.ui._axe import violations
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
expect = playwright.expect
if TYPE_CHECKING:
    from playwright.sync_api import Page

MANIFEST = """id = "shout"
version = "1.0.0"
abi = 1
language = "js"
entry = "main.js"
hooks = ["configure", "filter"]
description = "Says what is loud"
[[filters]]
name = "is_loud"
reads = ["method"]
[permissions]
env = ["SHOUT", "WHISPER"]
[[settings]]
name = "least"
type = "int"
default = 3
maximum = 9
description = "how loud is loud"
[[settings]]
name = "password"
secret = true
"""
SOURCE = "kubeshark.plugin({ configure() {}, filters: { is_loud: (_, method) => method === 'POST' } });"


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub whose plugins are its own, with the sample."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, own_hub: HubProcess) -> Path:
    folder = tmp_path_factory.mktemp("plugin") / "shout"
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "main.js").write_text(SOURCE)
    own_hub.run("plugin", "pack", str(folder), "-o", str(folder.with_name("shout.ksp")))
    return folder.with_name("shout.ksp")


def test_a_plugin_is_installed_set_and_removed(page: Page, own_hub: HubProcess, package: Path) -> None:
    page.goto(own_hub.url)
    page.wait_for_selector(ROW)
    done(page)
    page.keyboard.press("4")
    page.set_input_files("input[type=file]", {"name": "x.ksp", "mimeType": "", "buffer": b"no package"})
    expect(page.get_by_role("alert")).to_contain_text("this is no package")
    page.set_input_files("input[type=file]", package)
    sheet = page.get_by_role("dialog", name="Install shout 1.0.0")
    expect(sheet).to_contain_text("Says what is loud")
    install = sheet.get_by_role("button", name="Install")
    expect(install).to_be_disabled()  # nobody signed it
    sheet.get_by_label("Install it although").check()
    sheet.get_by_label("env: SHOUT").check()
    install.click()
    card = page.get_by_role("region", name="Plugin shout")
    expect(card).to_contain_text("SHOUT")
    expect(card).to_contain_text("not signed")

    card.get_by_text("Settings").click()
    card.get_by_label("least").fill("12")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_role("alert")).to_contain_text("more than 9")
    card.get_by_label("least").fill("5")
    card.get_by_label("password").fill("hush")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_label("password")).to_have_value("***")
    card.get_by_label("least").fill("")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_label("least")).to_have_value("")  # the default again; the secret stays
    expect(card.get_by_label("password")).to_have_value("***")

    apply(page, "is_loud()")
    assert {text.strip() for text in page.locator(f"{ROW} .c-method").all_inner_texts()} == {"POST"}
    page.locator(ROW).first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    expect(card.locator("table")).to_contain_text("filter")  # its timings
    card.get_by_role("button", name="Disable").click()
    expect(card.locator(".state")).to_have_text("disabled")
    card.get_by_role("button", name="Enable").click()
    expect(card.locator(".state")).not_to_have_text("disabled")
    page.on("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)
    expect(page.locator(".notice[data-bad]")).to_have_count(0)


HANGS = """id = "hangs"
version = "0.1.0"
abi = 1
language = "js"
entry = "main.js"
hooks = ["filter"]
[[filters]]
name = "never"
reads = ["method"]
[limits]
batch_ms = 50
"""


def make(folder: Path, manifest: str, source: str) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("of no concern")
    (folder / "plugin.toml").write_text(manifest)
    (folder / "main.js").write_text(source)
    return folder


def test_a_folder_is_packed_as_the_command_packs_it(page: Page, own_hub: HubProcess, tmp_path: Path) -> None:
    folder = make(tmp_path / "shout-main", MANIFEST, SOURCE)
    (folder / "lib/ä.js").write_text("// a name beyond ASCII")
    page.goto(own_hub.url)
    page.wait_for_selector(ROW)
    page.keyboard.press("4")
    page.locator("input[webkitdirectory]").set_input_files(folder)
    sheet = page.get_by_role("dialog", name="Install shout 1.0.0")
    expect(sheet.locator("code").first).to_have_text(re.compile("^[0-9a-f]{64}$"))
    digest = sheet.locator("code").first.inner_text()
    said = own_hub.run("plugin", "pack", str(folder), "-o", str(tmp_path / "shout.ksp"))
    assert digest in said
    page.keyboard.press("Escape")
    with zipfile.ZipFile(tmp_path / "shout.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    page.get_by_label("Package to install").set_input_files(tmp_path / "shout.zip")
    expect(sheet.locator("code").first).to_have_text(digest)
    page.keyboard.press("Escape")
    (tmp_path / "empty.zip").write_bytes(b"PK\5\6" + bytes(18))
    page.get_by_label("Package to install").set_input_files(tmp_path / "empty.zip")
    expect(page.get_by_role("alert")).to_contain_text("no plugin.toml")


def test_a_plugin_that_hangs_is_quarantined_and_used_again(
    page: Page, own_hub: HubProcess, tmp_path: Path, root: Path
) -> None:
    folder = make(tmp_path / "hangs", HANGS, "kubeshark.plugin({ filters: { never: () => { while (true) {} } } });")
    page.goto(own_hub.url)
    page.wait_for_selector(ROW)
    done(page)
    page.keyboard.press("4")
    page.locator("input[webkitdirectory]").set_input_files(folder)
    sheet = page.get_by_role("dialog", name="Install hangs 0.1.0")
    sheet.get_by_label("Install it although").check()
    sheet.get_by_role("button", name="Install").click()
    card = page.get_by_role("region", name="Plugin hangs")
    expect(card.locator(".state")).to_be_visible()
    apply(page, "never()")
    expect(page.locator(".problems summary")).to_be_visible()  # the list says that something is missing
    page.locator(".list-scroll").focus()
    page.keyboard.press("4")
    expect(card.locator(".state")).to_have_text("quarantined")
    expect(card.locator("p.bad")).to_contain_text("crashes within")
    expect(card.locator("p.bad time")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"))
    assert violations(page, root) == []
    card.get_by_role("button", name="Use it again").click()
    expect(card.locator(".state")).not_to_have_text("quarantined")
    page.on("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)
