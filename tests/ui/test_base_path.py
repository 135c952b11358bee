"""The page below a path, behind the deployment's front, in a browser: everything it asks for is below that path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.deploy._front import front
from tests.ui._acting import ROW, apply, done
from tests.ui._hub import HubProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

BASE = "/kubeshark"


@pytest.fixture(scope="module")
def entrance(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[str]:
    given = ("--host", "0.0.0.0", "--insecure", "--base-path", BASE)
    hub = HubProcess(tmp_path_factory.mktemp("hub"), *given)
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.store))
    hub.start()
    try:
        at = urlsplit(hub.url)
        with front(root, tmp_path_factory.mktemp("front") / "share", f"127.0.0.1:{at.port}", BASE) as url:
            yield f"{url}{BASE}/?{at.query}"
    finally:
        hub.stop()


def test_rows_an_entry_and_a_reload(page: Page, entrance: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.on("websocket", lambda wire: asked.append(urlsplit(wire.url).path))
    page.goto(entrance)
    page.wait_for_selector(ROW)
    done(page)
    assert urlsplit(page.url).path == f"{BASE}/"
    apply(page, "dns")
    page.locator(ROW).first.locator(".c-summary").click()
    page.get_by_role("tab").first.wait_for()
    page.keyboard.press("Escape")
    for key in "234567890":  # whatever view lies behind it: each loads its own files
        page.keyboard.press(key)
    page.keyboard.press("1")
    page.wait_for_selector(ROW)
    page.reload()
    page.wait_for_selector(ROW)
    done(page)
    assert f"{BASE}/api/v1/ws" in asked
    assert [path for path in asked if not path.startswith(f"{BASE}/")] == []
    assert [each["path"] for each in page.context.cookies()] == [f"{BASE}/"]
