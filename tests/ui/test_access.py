"""Every dialog is for everybody, too: axe finds nothing in those that the views' own look does not open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, apply, done
from tests.ui._axe import violations
from tests.ui._hub import HubProcess

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_keep_nobody_out(browser: Browser, hub: HubProcess, root: Path, scheme: str, tmp_path: Path) -> None:
    (tmp_path / "shout").mkdir()
    (tmp_path / "shout/plugin.toml").write_text(
        'id = "shout"\nversion = "1.0.0"\nabi = 1\nlanguage = "js"\nentry = "main.js"\nhooks = ["filter"]\n'
        '[[filters]]\nname = "is_loud"\nreads = ["method"]\n[permissions]\nenv = ["SHOUT"]\n'
    )
    (tmp_path / "shout/main.js").write_text("kubeshark.plugin({ filters: { is_loud: () => true } });")
    hub.run("plugin", "pack", str(tmp_path / "shout"), "-o", str(tmp_path / "shout.ksp"))
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    found: dict[str, list[str]] = {}
    page.goto(hub.url)
    page.wait_for_selector(ROW)
    done(page)
    apply(page, "dns")
    apply(page, "redis")
    page.get_by_role("button", name="Saved and earlier filters").click()
    page.wait_for_selector(".history h2")
    found["filters"] = violations(page, root)
    page.keyboard.press("Escape")
    page.locator(ROW).first.locator(".c-summary").click()
    page.get_by_role("tab", name="Packets").click()
    page.locator(".packets tbody button").first.click()
    page.wait_for_selector(".packets .hex")
    found["packets"] = violations(page, root)
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.wait_for_selector("dialog .explain")
    found["explain"] = violations(page, root)
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.get_by_role("button", name="Delete sample.pcapng").click()
    page.wait_for_selector("dialog .danger")
    found["delete"] = violations(page, root)
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    page.wait_for_selector("input[type=file]", state="attached")
    page.set_input_files("input[type=file]", tmp_path / "shout.ksp")
    page.wait_for_selector("dialog .tiles")
    found["install"] = violations(page, root)
    context.close()
    assert found == {name: [] for name in found}
