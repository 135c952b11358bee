"""What a person does on the page, in steps that several journeys take."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROW = ".row:not([hidden])"


def done(page: Page) -> None:
    """Wait until the list shows all that the filter in the address finds, and is drawn."""
    page.wait_for_function(
        """() => {
            const { phase, kfl } = document.querySelector('.foot-words')?.dataset ?? {};
            return phase === 'done' && kfl === (new URLSearchParams(location.search).get('kfl') ?? '');
        }"""
    )
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def apply(page: Page, kfl: str) -> None:
    """Type a filter as a person does, and wait for its end."""
    page.keyboard.press("Control+k")
    page.wait_for_selector(".editor[data-ready]")
    page.keyboard.press("Control+a")
    page.keyboard.type(kfl)
    page.keyboard.press("Escape")  # the completions, if there are any
    page.keyboard.press("Control+k")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: "kfl=" in url)
    done(page)


def drop(page: Page, path: Path) -> None:
    """Drag a file from the desktop over the page and let it go."""
    data = base64.b64encode(path.read_bytes()).decode()
    transfer = page.evaluate_handle(
        """([name, data]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
            return transfer;
        }""",
        [path.name, data],
    )
    page.dispatch_event(".drop", "dragover", {"dataTransfer": transfer})
    page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
