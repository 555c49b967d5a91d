"""The running dashboard in a browser: what the other tests cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import BROWSER, serving


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    with serving(home) as (address, _):
        yield address


def test_a_deep_link_opens_an_audit_and_nothing_else_is_asked(address: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1200, "height": 3000}, locale="zh-CN")
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/audit")
        page.get_by_text("不通过").first.wait_for(timeout=60_000)
        page.get_by_role("radiogroup", name="Language · 语言").get_by_text("English").click()
        page.get_by_text("What this audit does not show").first.wait_for(timeout=60_000)
        page.locator("[role='graphics-document']").first.wait_for(timeout=60_000)
        assert "0.74" in (page.locator("[role='graphics-document']").first.get_attribute("aria-label") or "")
        assert page.get_by_text("encountered an error").count() == 0
        assert page.locator("img[src='x']").count() == 0
        browser.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))]
