"""What axe finds on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

AT_REST = (
    "document.getAnimations().every(each => each.playState !== 'running' || each.effect.getTiming().iterations > 9)"
)


def violations(page: Page, root: Path) -> list[str]:
    """Return each violation: its rule, the element, what is wrong; `root` of the repository has axe."""
    page.wait_for_timeout(150)
    page.wait_for_function(AT_REST)  # transitions: colours on their way have no contrast yet
    if page.evaluate("typeof window.axe") == "undefined":
        page.evaluate((root / "ui/node_modules/axe-core/axe.min.js").read_text())
    answer = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for each in answer["violations"]
        for node in each["nodes"][:3]
    ]
