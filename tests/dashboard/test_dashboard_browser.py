"""The running dashboard in a browser: what the other tests cannot see."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the dashboard ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail("the dashboard did not answer within a minute")


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py"), "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def test_a_deep_link_opens_an_audit_and_nothing_else_is_asked(address: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic"])
        page = browser.new_page(viewport={"width": 1200, "height": 3000}, locale="zh-CN")
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/audit")
        page.get_by_text("不通过").first.wait_for(timeout=60_000)
        page.get_by_text("English").click()
        page.get_by_text("What this audit does not show").first.wait_for(timeout=60_000)
        page.locator("[role='graphics-document']").first.wait_for(timeout=60_000)
        assert "0.74" in (page.locator("[role='graphics-document']").first.get_attribute("aria-label") or "")
        assert page.get_by_text("encountered an error").count() == 0
        assert page.locator("img[src='x']").count() == 0
        browser.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))]
